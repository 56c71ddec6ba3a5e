from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from seepseg.classes import IGNORE, ClassTable, SegClass
from seepseg.evaluation.curves import training
from seepseg.evaluation.gallery import Gallery
from seepseg.evaluation.report import write_report
from seepseg.evaluation.tables import summarise, write_scores
from seepseg.inference.score import Sums, TileResult
from seepseg.metrics.confusion import confusion_matrix
from seepseg.runs.folder import RunFolder
from tests.browser import PROGRAM, browser

TWO = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("<thin>", (2,), "#56B4E9")))
EVIL = "<script>throw 1</script>"


def tile(name: str, hit: int, missed: int, doubt: float = 0.0) -> TileResult:
    """Ten rows of ten pixels; the first row has so many seep pixels found and missed."""
    truth, made = np.zeros((2, 10, 10), np.uint8)
    truth[0, : hit + missed], made[0, :hit] = 1, 1
    image = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
    probabilities = np.full((3, 10, 10), doubt / 2, np.float32)
    probabilities[0] = 1 - doubt  # the likeliest, up to a doubt of 2/3
    return TileResult(name, image, truth, made, confusion_matrix(truth, made, 3), probabilities)


def test_the_gallery_holds_a_tile_once_and_ranks_doubt_too() -> None:
    gallery = Gallery(TWO, kept=2)
    doubts = [0.1, 0.5, 0.2, 0.4, 0.0, 0.3, 0.55]
    for k, doubt in enumerate(doubts):
        gallery.see(tile(f"t{k}", k, 6 - k, doubt))
    gallery.see(tile("sea", 0, 0, 0.45))
    kinds = {kind: [s.id for s in held] for kind, held in gallery.chosen().items()}
    # Dice rises with k. The two most doubtful, 6 and 1, are shown already; only two are kept of a kind.
    assert kinds == {"best": ["t6", "t5"], "median": ["t3", "t2"], "worst": ["t0", "t1"], "uncertain": []}
    gallery.see(tile("clear", 0, 0, 0.6))
    assert [s.id for s in gallery.chosen()["uncertain"]] == ["clear"]
    assert gallery.chosen()["uncertain"][0].dice is None


def test_the_gallery_is_the_same_in_any_order_and_bounded() -> None:
    rng = np.random.default_rng(0)
    tiles = [
        tile(f"t{n}", int(h), int(m), float(d))
        for n, (h, m, d) in enumerate(rng.integers(1, 5, (400, 3)) * (1, 1, 0.1))
    ]
    one, other = Gallery(TWO), Gallery(TWO)
    for seen in tiles:
        one.see(seen)
    for seen in reversed(tiles):
        other.see(seen)
    assert {k: [s.id for s in v] for k, v in one.chosen().items()} == {
        k: [s.id for s in v] for k, v in other.chosen().items()
    }
    assert len(one.middle) == 200


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder with curves, config and an eval folder that holds every table a report knows."""
    folder = RunFolder(tmp_path / f"run {EVIL.replace('/', '')}")
    where = folder.eval("val")
    matrix = np.array([[90, 2, 0], [2, 6, 0], [0, 0, 0]], np.int64)
    sums = Sums(matrix, np.array([5, 3, 0], np.int64), 5)
    summary = summarise(sums, TWO, "val", tgs=False)
    interval = {"value": 0.75, "low": 0.61, "high": 0.82, "clusters": 9, "undefined": 0.0}
    summary["intervals"] = {
        "dice/foreground": interval,
        "dice/macro": interval | {"low": None, "high": None, "clusters": 3},
        "dice/1": interval,
        "dice/2": interval | {"value": None, "low": None, "high": None},
    }
    summary["calibration"] = {"foreground": {"expected_error": 0.043}}
    summary["as_published"] = {"soft_dice_batch16": 0.4204, "soft_iou_batch16": 0.2661}
    summary["decoding"] = {"from": "fit on val", "temperature": 1.25, "offsets": []}
    summary["lacking"] = {"thick": 0.0, "<thin>": 0.35}
    write_scores(where, sums, TWO, summary)
    for name, text in {
        "scenes": f'scene,foreground_dice\n"{EVIL}",0.5\n045590,0.25\n',
        "references": "row,foreground_dice,macro_dice\npredict nothing,0.0,0.0\n",
        "objects": "class,pixels,objects,found_iou25\nall,all,7,0.571\nall,0–49,3,0.333\n",
        "surface": "foreground,thick,tolerance_px\n0.83,0.2,1.0\n",
        "froc": "threshold,found_iou25,found_iou50,found_touched,false_alarms_per_mpx\n0.5,0.6,0.5,0.7,19.25\n",
        "reliability": "of,confidence,came_true,pixels\ntop label,0.31,0.22,1000\nforeground,0.9,0.7,12\n",
        "folds": "fold,dice\n0,0.515\n",
    }.items():
        (where / f"{name}.csv").write_text(text)
    folder.write_metrics([{"epoch": e, "lr": 0.1 / e, "train/loss": 2.0 / e, "val/loss": None} for e in (1, 2, 3)])
    folder.config.write_text(f"name: {EVIL}\n")
    (folder.root / "env.json").write_text('{"torch": "9.9"}')
    return folder


def written(run: RunFolder) -> str:
    gallery = Gallery(TWO)
    for k in range(4):
        gallery.see(tile(f"t{k} {EVIL}", k, 4 - k, k / 10))
    return write_report(run.eval("val"), [run], TWO, gallery.chosen()).read_text()


def test_a_report_shows_every_table_and_escapes_names(run: RunFolder) -> None:
    html = written(run)
    assert EVIL not in html
    text = unescape(re.sub(r"<[^>]+>", "\n", html))
    for told in (
        "0.610 to 0.820",  # the interval of the headline
        "n/a (3 scenes)",
        "Draws that lack a class, so that their macro mean is of fewer: <thin> 35%.",
        "this run", "predict nothing",
        "As other projects publish theirs: soft Dice 0.420, soft IoU 0.266 (foreground, mean over batches of 16",
        "Decoding: from fit on val, temperature 1.25.",
        "Expected calibration error: foreground 0.043.",
        "19.250", "Came true against confidence", "folds", "0.515",
        EVIL, '{"torch": "9.9"}', f"name: {EVIL}",
    ):  # fmt: skip
        assert told in text, told
    assert html.count('class="tile"') == 4


def test_every_number_in_a_table_stands_in_the_file_below_it(run: RunFolder) -> None:
    html = written(run)
    where = run.eval("val")
    checked = 0
    for cells, sources in re.findall(r'<table class="sortable">(.*?)</table></div><p class="source">(.*?)</p>', html):
        names = re.findall(r"[\w.]+\.(?:csv|json)", sources)
        held = " ".join((where / name).read_text() for name in names)
        for value in re.findall(r'data-v="([^"]+)"', cells):
            assert value in held, (value, names)
            checked += 1
    assert checked > 30
    # Curves and pictures name theirs as well, as a path from the page.
    assert "Source: ../../metrics.csv" in html
    assert "Source: gallery.csv" in html
    assert (where / "gallery.csv").read_text().startswith("kind,tile,dice,doubt\nbest,")
    assert '"dice/macro,,0.75,n/a,n/a,3,' in '"' + (where / "intervals.csv").read_text().replace("\n", '\n"')


def test_a_page_says_whether_its_numbers_are_of_scenes_or_of_salt_tiles(run: RunFolder) -> None:
    where = run.eval("val")
    of_scenes = written(run)
    summary = json.loads((where / "metrics.json").read_text()) | {"tgs_score": 0.5}
    (where / "metrics.json").write_text(json.dumps(summary))
    of_tiles = written(run)
    for html, place in ((of_scenes, "scene"), (of_tiles, "tile")):
        text = unescape(re.sub(r"<[^>]+>", "\n", re.sub(r"(?s)<(script|style).*?</\1>", "", html)))
        assert f"<h2>Scores by {place}</h2>" in html
        assert f'<th scope="col" class="text"><button type="button">{place}</button></th>' in html
        assert f"{place}s drawn again 2000 times. Too few {place}s, no range." in text
        assert f"n/a (3 {place}s)" in text
        assert f"component of foreground of a whole {place}." in text
    # But for names of files, a page of tiles knows no scene.
    assert "scene" not in text.replace("scenes.csv", "").lower()


def test_many_tiles_are_a_curve(run: RunFolder) -> None:
    where = run.eval("val")
    (where / "scenes.csv").write_text("scene,foreground_dice\n" + "".join(f"s{i},0.5\n" for i in range(201)))
    html = written(run)
    assert "201 scenes: their table is in the file." in html
    assert "Foreground Dice of scenes with foreground" in html


def test_a_report_of_bare_scores_has_no_empty_sections(tmp_path: Path) -> None:
    sums = Sums(np.array([[5, 0, 0], [0, 5, 0], [0, 0, 0]], np.int64), np.array([1, 1, 0], np.int64), 1)
    summary = summarise(sums, TWO, "rasters", tgs=False)
    write_scores(tmp_path, sums, TWO, summary)
    html = write_report(tmp_path, [], TWO, {}).read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == ["Headline", "Classes", "Confusion"]
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary


def test_the_curves_of_folds_are_drawn_together(tmp_path: Path) -> None:
    folds = [RunFolder(tmp_path / f"fold_{k}") for k in range(2)]
    for fold in folds:
        fold.write_metrics([{"epoch": e, "lr": 0.1, "train/loss": 1.0, "val/loss": 1 / e} for e in (1, 2)])
    html = training(folds, tmp_path, TWO)
    assert "Loss, validation" in html and "</svg>fold_0" in html and "</svg>fold_1" in html
    assert "Source: fold_0/metrics.csv, fold_1/metrics.csv" in html
    assert training([RunFolder(tmp_path / "none")], tmp_path, TWO) == ""


def test_ignored_pixels_take_no_part_in_the_stretch() -> None:
    gallery = Gallery(TWO)
    seen = tile("t", 2, 2)
    seen.image[0, 9] = -1000.0
    seen.prediction[9] = IGNORE
    gallery.see(seen)
    gray = gallery.chosen()["best"][0].gray
    assert (gray[9] == 0).all()
    assert gray[0, 0] < 10 and gray[8, 9] > 245


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")
def test_a_report_opens_without_trouble(run: RunFolder) -> None:
    written(run)
    with browser() as page:
        page.open(run.eval("val") / "report.html", width=390, dark=True)
        assert page.run("document.documentElement.scrollWidth") == 390
        assert page.run("document.querySelectorAll('section').length") == 13
        page.run("document.querySelector('.tile').scrollIntoView()")
        drawn = "[...document.querySelector('.tile canvas').getContext('2d').getImageData(0, 0, 1, 1).data]"
        assert (
            page.run(f"new Promise(done => requestAnimationFrame(() => setTimeout(() => done({drawn}), 50)))")[3] == 255
        )
        assert (page.trouble, page.fetched) == ([], [])
