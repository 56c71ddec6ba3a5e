"""How a GIS shows polygons: a style file in the colours of the classes."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

from seepseg.classes import ClassTable
from seepseg.io.atomic import write_text


def write_style(path: Path, classes: ClassTable) -> None:
    """Write a QGIS style (.qml) that colours polygons by their field `class`; QGIS loads it where file stems agree."""
    categories, symbols = [], []
    for number, (name, color) in enumerate(zip(classes.names[1:], classes.colors[1:], strict=True)):
        categories.append(
            f'   <category render="true" symbol="{number}" value="{number + 1}" label={quoteattr(name)}/>'
        )
        red, green, blue = (int(v) for v in color)
        options = {"color": f"{red},{green},{blue},110", "outline_color": f"{red},{green},{blue},255"}
        options |= {"outline_width": "0.4", "style": "solid"}
        lines = "".join(f'<Option type="QString" name="{key}" value="{value}"/>' for key, value in options.items())
        symbols.append(
            f'   <symbol type="fill" name="{number}" alpha="1"><layer class="SimpleFill" enabled="1">'
            f'<Option type="Map">{lines}</Option></layer></symbol>'
        )
    write_text(
        path,
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis styleCategories="Symbology">\n'
        ' <renderer-v2 type="categorizedSymbol" attr="class" symbollevels="0">\n'
        "  <categories>\n" + "\n".join(categories) + "\n  </categories>\n"
        "  <symbols>\n" + "\n".join(symbols) + "\n  </symbols>\n </renderer-v2>\n</qgis>\n",
    )
