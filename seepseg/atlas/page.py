"""The page to send: a folder that opens offline, with a map of the zones, what each pass showed of them, and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seepseg.atlas.shown import (
    ALL_PICTURES,
    FINE,
    LISTED,
    PICTURES,
    drawn_of,
    graticule,
    observed_picture,
    shown_land,
    shown_zones,
)
from seepseg.classes import COLORS
from seepseg.figures.style import STEPS
from seepseg.io.atomic import write_bytes
from seepseg.pages.page import Section, as_rows, cards, folded, paragraph, source_line, table, write_page
from seepseg.pages.template import Html, asset, fill, joined
from seepseg.passes.scenes import Pass
from seepseg.passes.view import REASONS
from seepseg.zones.run import Summary
from seepseg.zones.write import Tables

COPIES, REJECTED = ("zones.csv", "history.csv", "origins.csv", "passes.csv"), "rejected.csv"


def write_map_page(out: Path, made: Summary) -> None:
    """Write OUT/page: index.html, the tables that hold its numbers, and quick-looks of the latest sightings.

    Args:
        out: the folder that `make_zones` wrote.
        made: what it holds.
    """
    tables, coverage, passes, classes = made.tables, made.coverage, made.passes, made.classes
    page, frame = out / "page", tables.frame
    for name in (*COPIES, REJECTED) if len(tables.rejected) else COPIES:
        write_bytes(page / name, [(out / name).read_bytes()])
    corners = frame.corners(np.add([[0.0, 0.0], coverage.observed.shape], [coverage.row, coverage.column]))
    (left, low), (right, high) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    box, more = (left, low, right, high), 0.3 * max(right - left, high - low)
    around = (left - more, low - more, right + more, high + more)
    data = {
        "up": bool(frame.crs),
        "unit": frame.unit,
        "fine": FINE,
        "box": box,
        "steps": STEPS,
        "reasons": REASONS,
        "classes": [[name, COLORS[i % len(COLORS)]] for i, name in enumerate(classes)],
        "passes": [[one.name, one.identity.acquired] for one in passes],
        "zones": list(shown_zones(tables, passes, classes, page / "pictures")),
        "observed": observed_picture(coverage),
        "land": shown_land(frame, around),
        "graticule": graticule(frame, box, more),
    }
    store = fill('<script type="application/json" id="zones-data">{{ data | tojson }}</script>', data=data)
    rows = as_rows(tables.passes)
    every = table(rows, "passes.csv", text=("pass", "acquired", "platform", "direction", "scenes"))
    sections = [
        Section(
            "Zones",
            _made_up(passes) + _cards(tables, made.new_zones) + _filters(tables, classes) + _map(tables) + store,
        ),
        Section("Rejected zones", _rejected(tables)),
        Section("What the numbers mean", _meaning(tables)),
        Section("Passes", folded(f"All {len(rows)} passes: when, by what, how much of it was observed", every)),
    ]
    styles, scripts = ([asset("atlas", f"{name}.{end}") for name in ("leaflet", "zones")] for end in ("css", "js"))
    title = "Seep zones of made-up data" if any(one.identity.made_up for one in passes) else "Seep zones"
    write_page(page / "index.html", title, _subtitle(tables), sections, styles, scripts)


def _made_up(passes: Sequence[Pass]) -> Html:
    """A warning where no satellite took a pass."""
    n = sum(one.identity.made_up for one in passes)
    some = "All passes" if n == len(passes) else f"{n} of {len(passes)} passes"
    text = f"{some} are made up, to show what this page is like: there are no such vents, slicks or ships."
    return paragraph(text, "warn") if n else Html()


def _rejected(tables: Tables) -> Html:
    """The zones that a user has rejected; nothing where there are none."""
    place = ["lon", "lat"] if tables.frame.crs else ["column", "row"]
    columns = ["zone", "verdict", "comment", *place, "n_seen", "n_observed", "first_seen", "last_seen"]
    shown = table(as_rows(tables.rejected[columns]), REJECTED, text=("verdict", "comment", "first_seen", "last_seen"))
    title = f"{len(tables.rejected)} zones that a review found to be no seep; they count nowhere on this page"
    return folded(title, shown)


def _dates(tables: Tables) -> tuple[str, str]:
    """The first and the last day; empty where no time is known."""
    times = tables.passes["acquired"].dropna()
    return (times.min()[:10], times.max()[:10]) if len(times) else ("", "")


def _subtitle(tables: Tables) -> str:
    first, last = _dates(tables)
    when, where = f"{first} to {last}" if first else "times not known", ""
    if tables.frame.crs and len(tables.zones):
        # In the frame, as longitudes may be on both sides of 180°.
        ((lon, lat),) = tables.frame.lonlat(tables.zones[["x", "y"]].median().to_numpy(np.float64)[None])
        where = f" around {abs(lat):.1f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.1f}° {'E' if lon >= 0 else 'W'}"
    return f"Where slicks come back{where}: {len(tables.passes)} passes, {when}. Observed means: {tables.basis}."


def _cards(tables: Tables, new: int | None) -> Html:
    zones, slicks = tables.zones, tables.slicks
    (first, last), inside = _dates(tables), int(slicks["zone"].isin(zones["zone"]).sum())
    twice = int((zones["recurrence"] >= 0.5).sum())
    remarks = [] if new is None else [f"{new:,} new since the last run"]
    remarks += [f"{len(tables.rejected):,} more rejected in review"] if len(tables.rejected) else []
    facts = [
        ("Zones", f"{len(zones):,}", ", ".join(remarks)),
        ("Seen on half of the passes or more", f"{twice:,}", f"of {len(zones):,} zones"),
        ("Passes", f"{len(tables.passes):,}", f"{first} to {last}" if first else "times not known"),
        ("Slicks", f"{len(slicks):,}", f"{inside:,} of them in zones"),
    ]
    return cards(facts)


def _filters(tables: Tables, classes: Sequence[str]) -> Html:
    first, last = _dates(tables)
    return fill(
        asset("atlas", "filters.html"),
        first=first,
        dates=[("from", first), ("to", last)] if first else [],
        last=last,
        classes=[(name, COLORS[i % len(COLORS)]) for i, name in enumerate(classes)],
        letters=sorted(set(tables.slicks["grade"]) - {""}),
    )


def _map(tables: Tables) -> Html:
    return fill(
        asset("atlas", "map.html"),
        place="lat lon" if tables.frame.crs else "row column",
        heads=("zone", "seen of observed", "recurrence (95 % interval)", "last seen"),
        zones=[(row["zone"], "" if row["verdict"] == "n/a" else row["verdict"]) for row in as_rows(tables.zones)],
        steps=[(f"{100 * a:g}–{100 * b:g} %", color) for a, b, color in STEPS],
        passes=len(tables.passes),
        source=source_line("zones.csv", "history.csv"),
    )


def _meaning(tables: Tables) -> Html:
    unit, drawn = "m" if tables.frame.crs else "pixels", drawn_of(len(tables.zones))
    radius = tables.zones[f"radius_{tables.frame.unit}"].median() if len(tables.zones) else 0
    texts = (
        f"A zone is a disc (radius {radius:,.0f} {unit}) in which slicks of several passes begin. A slick on one pass "
        "may be a ship; a natural seep comes back at the same place.",
        "“17 of 42: 40 % (27–56)” says that 42 passes could have shown a slick there and 17 did. The interval (Wilson, "
        "95 %) is the range of true rates that such counts go with: few passes, wide interval. Compare zones by their "
        "intervals, not by the middle alone.",
        "A pass counts as observed where at least half of the disc could be judged. Here that means: "
        f"{tables.basis}. Passes that covered a zone but could not have shown it are listed with the reason, and count "
        "in no rate. A pass of which wind or angle is not known counts as if it showed slicks; each zone says on how "
        "many passes they were known.",
        "The rate is that at which maps show a slick, not that at which oil flows. Places with few sightings that made "
        "the list were lucky: their rates are too high on average. Look-alikes that lie where they lie for a reason (a "
        "lane, a lee, a platform) come back, too.",
        f"Drawn are outlines of the last {drawn} slicks of a zone and quick-looks of its last {PICTURES} sightings, "
        f"where predictions have any ({ALL_PICTURES} on the page at most). Of a zone with more than {LISTED} slicks, "
        "older ones are summed by pass, class and grade; origins.csv lists all. With filters, counts are those of "
        "history.csv and origins.csv within them.",
    )
    return fill('<div class="means">{{ texts }}</div>', texts=joined(map(paragraph, texts))) + source_line(*COPIES)
