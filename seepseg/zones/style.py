"""How QGIS shows zones: coloured by recurrence."""

from __future__ import annotations

STEPS = (
    (0.0, 0.1, "68,1,84"),
    (0.1, 0.2, "59,82,139"),
    (0.2, 0.4, "33,145,140"),
    (0.4, 0.6, "94,201,98"),
    (0.6, 1.0, "253,231,37"),
)
"""Recurrence from, to, and colour (viridis, which colour-blind readers can follow)."""


def recurrence_style() -> str:
    """A QGIS style (QML) that colours polygons by their field `recurrence` in five steps."""
    ranges, symbols = [], []
    for number, (lower, upper, color) in enumerate(STEPS):
        ranges.append(
            f'   <range render="true" symbol="{number}" lower="{lower}" upper="{upper}" label="{lower:g}–{upper:g}"/>'
        )
        options = {"color": f"{color},120", "outline_color": f"{color},255", "outline_width": "0.6", "style": "solid"}
        lines = "".join(f'<Option type="QString" name="{key}" value="{value}"/>' for key, value in options.items())
        symbols.append(
            f'   <symbol type="fill" name="{number}" alpha="1"><layer class="SimpleFill" enabled="1">'
            f'<Option type="Map">{lines}</Option></layer></symbol>'
        )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis styleCategories="Symbology">\n'
        ' <renderer-v2 type="graduatedSymbol" attr="recurrence" graduatedMethod="GraduatedColor" symbollevels="0">\n'
        "  <ranges>\n" + "\n".join(ranges) + "\n  </ranges>\n"
        "  <symbols>\n" + "\n".join(symbols) + "\n  </symbols>\n </renderer-v2>\n</qgis>\n"
    )
