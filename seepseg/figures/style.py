"""How a GIS shows polygons and points: styles in the colours of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from seepseg.classes import ClassTable

STEPS = (
    (0.0, 0.1, "68,1,84"),
    (0.1, 0.2, "59,82,139"),
    (0.2, 0.4, "33,145,140"),
    (0.4, 0.6, "94,201,98"),
    (0.6, 1.0, "253,231,37"),
)
"""Recurrence from, to, and colour (viridis, which colour-blind readers can follow)."""

GRAY = ((0.0, 1.0, "130,130,130"),)
"""One step, for what does not count."""

_KINDS = {
    "fill": ("SimpleFill", 110, {"outline_width": "0.4", "style": "solid"}),
    "marker": ("SimpleMarker", 255, {"name": "triangle", "size": "3", "outline_color": "255,255,255,255"}),
}


def qgis_style(classes: ClassTable, kind: str = "fill") -> str:
    """A QGIS style (QML) that colours polygons ("fill") or points ("marker") by their field `class`.

    QGIS takes it from the GeoPackage, or from a .qml file of the same stem.
    """
    layer, opacity, more = _KINDS[kind]
    categories, symbols = [], []
    for number, (name, color) in enumerate(zip(classes.names[1:], classes.colors[1:], strict=True)):
        categories.append(
            f'   <category render="true" symbol="{number}" value="{number + 1}" label={quoteattr(name)}/>'
        )
        rgb = ",".join(str(int(v)) for v in color)
        options = {"color": f"{rgb},{opacity}", "outline_color": f"{rgb},255"} | more
        symbols.append(_symbol(number, kind, layer, options))
    return _document('type="categorizedSymbol" attr="class"', "categories", categories, symbols)


def with_choices(style: str, choices: Mapping[str, Sequence[str]]) -> str:
    """A QGIS style whose form offers, for some fields, the values they can have, or none."""
    fields = []
    for name, values in choices.items():
        options = "".join(
            f'<Option type="Map"><Option type="QString" name={quoteattr(shown)} value={quoteattr(value)}/></Option>'
            for shown, value in [("", "{2839923C-8B7D-419E-B84B-CA2FE9B80EC7}"), *((v, v) for v in values)]
        )
        fields.append(
            f'  <field name="{name}"><editWidget type="ValueMap"><config><Option type="Map">'
            f'<Option type="List" name="map">{options}</Option></Option></config></editWidget></field>\n'
        )
    form = f" <fieldConfiguration>\n{''.join(fields)} </fieldConfiguration>\n</qgis>"
    return style.replace('"Symbology"', '"Symbology|Fields"', 1).replace("</qgis>", form)


def recurrence_style(steps: Sequence[tuple[float, float, str]] = STEPS) -> str:
    """A QGIS style (QML) that colours polygons by their field `recurrence` in steps."""
    ranges, symbols = [], []
    for number, (lower, upper, color) in enumerate(steps):
        ranges.append(
            f'   <range render="true" symbol="{number}" lower="{lower}" upper="{upper}" label="{lower:g}–{upper:g}"/>'
        )
        options = {"color": f"{color},120", "outline_color": f"{color},255", "outline_width": "0.6", "style": "solid"}
        symbols.append(_symbol(number, "fill", "SimpleFill", options))
    renderer = 'type="graduatedSymbol" attr="recurrence" graduatedMethod="GraduatedColor"'
    return _document(renderer, "ranges", ranges, symbols)


def _symbol(number: int, kind: str, layer: str, options: Mapping[str, str]) -> str:
    lines = "".join(f'<Option type="QString" name="{key}" value="{value}"/>' for key, value in options.items())
    return (
        f'   <symbol type="{kind}" name="{number}" alpha="1"><layer class="{layer}" enabled="1">'
        f'<Option type="Map">{lines}</Option></layer></symbol>'
    )


def _document(renderer: str, element: str, values: Sequence[str], symbols: Sequence[str]) -> str:
    """A style whose renderer shows each value by the symbol of its number."""
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis styleCategories="Symbology">\n'
        f' <renderer-v2 {renderer} symbollevels="0">\n'
        f"  <{element}>\n" + "\n".join(values) + f"\n  </{element}>\n"
        "  <symbols>\n" + "\n".join(symbols) + "\n  </symbols>\n </renderer-v2>\n</qgis>\n"
    )
