from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from seepseg.evaluation.curves import training
from seepseg.evaluation.gallery import Gallery
from seepseg.evaluation.report import write_report
from seepseg.evaluation.summary import Decoded, Summary, summarise
from seepseg.evaluation.tables import write_scores
from seepseg.runs.folder import RunFolder
from tests.browser import PROGRAM, browser
from tests.evaluation.test_gallery import tile
from tests.evaluation.test_summary import NONE, TWO, evidence, summary, sums_of

EVIL = "<script>throw 1</script>"

SCORES = summary(
    evidence=evidence(
        decoding=Decoded("fit on val", "network", 1.25, 0.4, (0.5, -0.25), 20),
    )
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder with curves, config and an eval folder that holds every table a report knows."""
    folder = RunFolder(tmp_path / f"run {EVIL.replace('/', '')}")
    where = folder.eval("val")
    write_scores(where, sums_of([[90, 2, 0], [2, 6, 0], [0, 0, 0]], [5, 3, 0]), TWO, SCORES)
    for name, text in {
        "scenes": f'scene,foreground_dice\n"{EVIL}",0.5\n045590,0.25\n',
        "references": "row,foreground_dice,foreground_iou,macro_dice,class_accuracy\n"
        "this run,0.75,0.6,0.75,1.0\npredict nothing,0.0,0.0,0.0,n/a\n",
        "objects": "class,pixels,objects,found_iou25\nall,all,7,0.571\nall,0–49,3,0.333\n",
        "surface": "foreground,thick,tolerance_px\n0.83,0.2,1.0\n",
        "froc": "threshold,found_iou25,found_iou50,found_touched,false_alarms_per_mpx\n0.5,0.6,0.5,0.7,19.25\n",
        "reliability": "of,confidence,came_true,pixels\ntop label,0.31,0.22,1000\nforeground,0.9,0.7,12\n",
        "folds": "fold,dice\n0,0.515\n",
    }.items():
        (where / f"{name}.csv").write_text(text)
    folder.write_metrics(
        [{"epoch": e, "lr": 0.1 / e, "train/loss": 2.0 / e, "val/iou/foreground": 0.1 * e} for e in (1, 2, 3)]
    )
    folder.config.write_text(f"name: {EVIL}\n")
    (folder.root / "env.json").write_text('{"torch": "9.9"}')
    return folder


def written(run: RunFolder, scores: Summary = SCORES) -> str:
    gallery = Gallery(TWO)
    for k in range(4):
        gallery.update(tile(f"t{k} {EVIL}", k, 4 - k, k / 10))
    return write_report(run.eval("val"), scores, [run], TWO, gallery.compute()).read_text()


def text_of(html: str) -> str:
    """What a reader sees."""
    return unescape(re.sub(r"<[^>]+>", "\n", re.sub(r"(?s)<(script|style).*?</\1>", "", html)))


def test_a_report_shows_every_table_and_escapes_names(run: RunFolder) -> None:
    html = written(run)
    assert EVIL not in html
    text = text_of(html)
    for phrase in (
        "0.610 to 0.820",  # the interval of the headline
        "Draws without a class, whose macro mean is of the others: <thin> 35%.",
        "this run", "predict nothing",
        "As other projects publish theirs: soft Dice 0.420, soft IoU 0.266 (foreground, mean over batches of 16",
        "Decoding from the fit on val: temperature 1.25, threshold 0.40, objects of at least 20 pixels, class offsets "
        "+0.50 -0.25 · classes of objects by the network.",
        "Expected calibration error: foreground 0.043.",
        "Foreground IoU", "macro IoU", "19.250", "Share that came true against confidence", "folds", "0.515",
        EVIL, '{"torch": "9.9"}', f"name: {EVIL}",
    ):  # fmt: skip
        assert phrase in text, phrase
    assert html.count('class="tile"') == 4


def test_every_number_in_a_table_stands_in_the_file_below_it(run: RunFolder) -> None:
    html = written(run)
    where = run.eval("val")
    checked = 0
    for cells, sources in re.findall(r'<table class="sortable">(.*?)</table></div><p class="source">(.*?)</p>', html):
        names = re.findall(r"[\w.]+\.(?:csv|json)", sources)
        files = " ".join((where / name).read_text() for name in names)
        for value in re.findall(r'data-v="([^"]+)"', cells):
            assert value in files, (value, names)
            checked += 1
    assert checked > 30
    # Curves and pictures name theirs as well, as a path from the page.
    assert "Source: ../../metrics.csv" in html
    assert "Source: gallery.csv" in html
    assert (where / "gallery.csv").read_text().startswith("kind,tile,dice,doubt\nbest,")


def test_a_page_says_whether_its_numbers_are_of_scenes_or_of_salt_tiles(run: RunFolder) -> None:
    of_tiles = replace(SCORES, tgs_score=0.5, evidence=evidence(drawn="tile"))
    for scores, place in ((SCORES, "scene"), (of_tiles, "tile")):
        html = written(run, scores)
        text = text_of(html)
        assert f"<h2>Scores by {place}</h2>" in html
        assert f'<th scope="col" class="text"><button type="button">{place}</button></th>' in html
        assert f"Ranges are 95 % intervals: {place}s drawn with replacement, 2000 times." in text
        assert f"component of foreground of a whole {place}." in text
    # But for names of files, a page of tiles knows no scene.
    assert "scene" not in text.replace("scenes.csv", "").lower()


def test_intervals_that_do_not_exist_take_no_room(run: RunFolder) -> None:
    few = evidence(intervals={"dice/foreground": NONE, "dice/1": NONE}, lacking={"thick": 0.0, "<thin>": 0.0})
    text = text_of(written(run, summary(evidence=few)))
    assert "No intervals: 3 scenes, and they need 8." in text
    assert "dice low" not in text and "draws" not in text
    assert "dice low" in text_of(written(run))


def test_many_tiles_are_a_curve(run: RunFolder) -> None:
    where = run.eval("val")
    (where / "scenes.csv").write_text("scene,foreground_dice\n" + "".join(f"s{i},0.5\n" for i in range(201)))
    html = written(run)
    assert "201 scenes: their table is in the file." in html
    assert "Foreground Dice of scenes with foreground" in html


def test_a_report_of_bare_scores_has_no_empty_sections(tmp_path: Path) -> None:
    sums = sums_of([[5, 0, 0], [0, 5, 0], [0, 0, 0]], [1, 1, 0], 1)
    scores = summarise(sums, TWO, "rasters", per_tile=False)
    write_scores(tmp_path, sums, TWO, scores)
    html = write_report(tmp_path, scores, [], TWO, {}).read_text()
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["Headline", "Classes", "Confusion"]


def test_the_curves_of_folds_are_drawn_together(tmp_path: Path) -> None:
    folds = [RunFolder(tmp_path / f"fold_{k}") for k in range(2)]
    for fold in folds:
        fold.write_metrics([{"epoch": e, "lr": 0.1, "train/loss": 1.0, "val/loss": 1 / e} for e in (1, 2)])
    html = training(folds, tmp_path, TWO)
    assert "Loss, validation" in html and "</svg>fold_0" in html and "</svg>fold_1" in html
    assert "Source: fold_0/metrics.csv, fold_1/metrics.csv" in html
    assert training([RunFolder(tmp_path / "none")], tmp_path, TWO) == ""


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
