from __future__ import annotations

import numpy as np

from seepseg.classes import IGNORE
from seepseg.evaluation.gallery import SHOWN, Gallery
from seepseg.inference.score import Sums, TileResult
from tests.evaluation.test_summary import TWO


def tile(name: str, hit: int, missed: int, doubt: float = 0.0) -> TileResult:
    """Ten rows of ten pixels; the first row has so many seep pixels found and missed."""
    truth, made = np.zeros((2, 10, 10), np.uint8)
    truth[0, : hit + missed], made[0, :hit] = 1, 1
    image = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
    probabilities = np.full((3, 10, 10), doubt / 2, np.float32)
    probabilities[0] = 1 - doubt  # the most probable, up to a doubt of 2/3
    return TileResult(name, image, truth, made, probabilities, Sums.of_tile(truth, made, 3))


def titles(gallery: Gallery) -> list[str]:
    return [title for title, _ in gallery.rows()]


def test_the_gallery_shows_best_median_and_worst() -> None:
    gallery = Gallery(TWO)
    # Dice of k hits and 10 − k misses: 2k / (k + 10).
    order = [4, 9, 1, 10, 6, 2, 8, 0, 5, 3, 7]
    for k in order:
        gallery.update(tile(f"t{k:02d}", k, 10 - k))
    assert SHOWN == 3
    assert titles(gallery) == [
        "best · t10 · foreground Dice 1.00",
        "best · t09 · foreground Dice 0.95",
        "best · t08 · foreground Dice 0.89",
        # The middle of eleven is t05 (10/15 = .67), beside it t04 (8/14) and t06 (12/16).
        "median · t05 · foreground Dice 0.67",
        "median · t04 · foreground Dice 0.57",
        "median · t06 · foreground Dice 0.75",
        # The very worst first: 0, 2/11, 4/12.
        "worst · t00 · foreground Dice 0.00",
        "worst · t01 · foreground Dice 0.18",
        "worst · t02 · foreground Dice 0.33",
    ]


def test_a_gallery_of_few_tiles_is_short_and_of_none_is_empty() -> None:
    gallery = Gallery(TWO)
    gallery.update(tile("nothing", 0, 0))
    assert gallery.rows() == []
    gallery.update(tile("one", 1, 1))
    assert {t.split(" · ")[1] for t in titles(gallery)} == {"one"}


def test_panels_of_equal_score_are_told_apart_by_name() -> None:
    gallery = Gallery(TWO)
    for number in range(8):
        gallery.update(tile(f"t{number}", 2, 2))
    assert len(set(titles(gallery))) == len(titles(gallery))


def test_the_gallery_holds_a_tile_once_and_ranks_doubt_too() -> None:
    gallery = Gallery(TWO, limit=2)
    doubts = [0.1, 0.5, 0.2, 0.4, 0.0, 0.3, 0.55]
    for k, doubt in enumerate(doubts):
        gallery.update(tile(f"t{k}", k, 6 - k, doubt))
    gallery.update(tile("sea", 0, 0, 0.45))
    kinds = {kind: [s.id for s in tiles] for kind, tiles in gallery.compute().items()}
    # Dice rises with k. The two most doubtful, 6 and 1, are shown already; only two are kept of a kind.
    assert kinds == {"best": ["t6", "t5"], "median": ["t3", "t2"], "worst": ["t0", "t1"], "uncertain": []}
    gallery.update(tile("clear", 0, 0, 0.6))
    assert [s.id for s in gallery.compute()["uncertain"]] == ["clear"]
    assert gallery.compute()["uncertain"][0].dice is None


def test_the_gallery_is_the_same_in_any_order_and_bounded() -> None:
    rng = np.random.default_rng(0)
    tiles = [
        tile(f"t{n}", int(h), int(m), float(d))
        for n, (h, m, d) in enumerate(rng.integers(1, 5, (400, 3)) * (1, 1, 0.1))
    ]
    one, other = Gallery(TWO), Gallery(TWO)
    for seen in tiles:
        one.update(seen)
    for seen in reversed(tiles):
        other.update(seen)
    assert {k: [s.id for s in v] for k, v in one.compute().items()} == {
        k: [s.id for s in v] for k, v in other.compute().items()
    }
    assert len(one.middle) == 200


def test_ignored_pixels_take_no_part_in_the_stretch() -> None:
    gallery = Gallery(TWO)
    seen = tile("t", 2, 2)
    seen.image[0, 9] = -1000.0
    seen.prediction[9] = IGNORE
    gallery.update(seen)
    gray = gallery.compute()["best"][0].gray
    assert (gray[9] == 0).all()
    assert gray[0, 0] < 10 and gray[8, 9] > 245


def test_of_few_tiles_each_kind_shows_a_third() -> None:
    gallery = Gallery(TWO, limit=16)
    for k in range(7):
        gallery.update(tile(f"t{k}", k, 6 - k))
    kinds = {kind: [s.id for s in tiles] for kind, tiles in gallery.compute().items()}
    # Seven tiles: two best, two worst, two in the middle, though there is room for sixteen; the rest stays in doubt.
    assert kinds == {"best": ["t6", "t5"], "median": ["t3", "t2"], "worst": ["t0", "t1"], "uncertain": ["t4"]}
