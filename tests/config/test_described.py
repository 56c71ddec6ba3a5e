"""Every key of a config says what it means."""

from __future__ import annotations

from seepseg.config.described import json_schema


def test_every_key_has_a_meaning() -> None:
    schema = json_schema()
    silent = [
        f"{name}.{key}: say below the field what it means"
        for name, node in {"Config": schema, **schema["$defs"]}.items()
        for key, field in node["properties"].items()
        if not field.get("description")
    ]
    assert silent == []


def test_a_meaning_is_the_string_below_the_field_of_the_nearest_class() -> None:
    nodes = json_schema()["$defs"]
    assert nodes["Train"]["properties"]["batch_size"]["description"] == ("Tiles of a step, of all processes together.")
    # Inherited, and said anew where a data set narrows it.
    assert nodes["TgsData"]["properties"]["root"]["description"] == "Folder of the data; of tiles, also a ZIP."
    told = "`salt`, any value above 0; or a list of your own, with the values that masks hold (run lengths: 1)."
    assert nodes["TgsData"]["properties"]["classes"]["description"] == told
    assert nodes["TilesData"]["properties"]["grid"]["description"].startswith("How many tiles a row of the scene has")
