from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seepseg.errors import ConfigError, DataError
from seepseg.evaluation.compare import compare, table, verdict
from seepseg.metrics.whole import count_names
from tests.command import error, run

NAMES = ["background", "thick", "thin"]


def evaluation(
    run: Path, hits: list[int], classes: list[str] = NAMES, scenes: list[str] | None = None, truth: int = 10
) -> Path:
    """A run of which each scene has ten pixels of the first class, so many of them hit."""
    folder = run / "eval" / "val"
    folder.mkdir(parents=True)
    rows = []
    for name, hit in zip(scenes or [f"s{i}" for i in range(len(hits))], hits, strict=True):
        matrix = np.zeros((len(classes), len(classes)), np.int64)
        matrix[0, 0], matrix[1, 1], matrix[1, 0] = 90, hit, truth - hit
        rows += [(name, t, p, matrix[i, j]) for i, t in enumerate(classes) for j, p in enumerate(classes)]
    pd.DataFrame(rows, columns=["scene", "truth", "prediction", "pixels"]).to_csv(folder / "matrices.csv", index=False)
    return run


def test_which_is_better_by_how_much_and_how_sure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = evaluation(tmp_path / "a", [5] * 10)
    b = evaluation(tmp_path / "b", [8] * 9 + [5])
    rows = {row.score: row for row in compare(a, b, "val")}
    # A hits 50 of 100: Dice 2·50/150; B 77: 2·77/177. The second class is nowhere, so the mean is of the first.
    row = rows["foreground Dice"]
    assert (row.a, row.b) == pytest.approx((100 / 150, 154 / 177))
    assert row.difference.value == pytest.approx(154 / 177 - 100 / 150)
    # IoU: A 50/100, B 77/100.
    assert rows["foreground IoU"].difference.value == pytest.approx(0.27)
    assert rows["macro Dice"].difference.value == pytest.approx(row.difference.value)
    assert rows["Dice of thin"].difference.value is None
    # B is never worse on a scene; ten draws of the tenth scene happen in 10⁻¹⁰ of the draws.
    assert row.difference.b_better == 1
    low, high = row.difference.low or 0, row.difference.high or 0
    assert 0 < low < 154 / 177 - 100 / 150 < high
    code, out, _ = run(capsys, "compare", a, b)
    assert code == 0
    assert "b is better in foreground Dice by 0.2034, in 100% of the draws; B − A: 95 % interval +0." in out
    where = b / "eval" / "val" / "against-a"
    assert (where / "compare.png").stat().st_size > 1000
    frame = pd.read_csv(where / "compare.csv", na_values="n/a").set_index("score")
    assert frame["clusters"].tolist() == [10] * 7
    assert frame.loc["foreground Dice", "difference"] == pytest.approx(154 / 177 - 100 / 150)
    # The other way round it is still b.
    back = compare(b, a, "val")[0]
    assert verdict(back, ("b", "a")).startswith("b is better in foreground Dice by 0.2034, in 100% of the draws; ")


def test_outlines_and_objects_are_compared_where_both_were_counted(tmp_path: Path) -> None:
    a, b = evaluation(tmp_path / "a", [5] * 9), evaluation(tmp_path / "b", [6] * 9)
    assert "object F1 at IoU ≥ .25" not in {row.score for row in compare(a, b, "val")}
    for folder, found in ((a, 1), (b, 3)):
        # Of 4 objects so many are found by as many of 4; half of the outline agrees; of class 1 one in two is right.
        counts = {"objects": 4, "found": found, "right": 1, "predicted": 4, "finding": found, "false_alarms": 0,
                  "pixels": 100, "outline": 10, "outline_near": 5}  # fmt: skip
        weights = {f"{kind}_{c}": int(c == 1) for kind in ("tp", "fp", "fn") for c in (1, 2)}
        rows = [{"scene": f"s{i}"} | counts | weights for i in range(9)]
        pd.DataFrame(rows[::-1]).to_csv(folder / "eval" / "val" / "counts.csv", index=False)
    rows_of = {row.score: row for row in compare(a, b, "val")}
    f1 = rows_of["object F1 at IoU ≥ .25"]
    assert (f1.a, f1.b, f1.difference.value, f1.difference.low) == pytest.approx((0.25, 0.75, 0.5, 0.5))
    accuracy = rows_of["class accuracy of found objects"]
    assert (accuracy.a, accuracy.b) == pytest.approx((1, 1 / 3))
    assert rows_of["surface Dice at 2 px"].difference.value == 0
    assert rows_of["class F1 by root area"].a == pytest.approx(0.5)


def by_block(run: Path, hits: list[int], first: int = 0) -> Path:
    """A run of two scenes that share so many blocks, ten pixels in each; in the second scene one more is hit."""
    folder = run / "eval" / "oof"
    folder.mkdir(parents=True)
    rows, counts = [], []
    for scene, more in (("s0", 0), ("s1", 1)):
        for block, hit in enumerate(hits, first):
            cells = {("sea", "sea"): 90, ("sea", "oil"): 0, ("oil", "sea"): 10 - hit - more, ("oil", "oil"): hit + more}
            rows += [(scene, f"{block}", *names, pixels) for names, pixels in cells.items()]
            names = dict.fromkeys(count_names(2), 0) | {"objects": 10, "found": hit + more, "pixels": 100}
            counts.append({"scene": scene, "block": f"{block}"} | names | {"predicted": 10, "finding": hit + more})
    frame = pd.DataFrame(rows, columns=["scene", "block", "truth", "prediction", "pixels"])
    frame.to_csv(folder / "matrices.csv", index=False)
    pd.DataFrame(counts).to_csv(folder / "counts.csv", index=False)
    return run


def test_runs_that_held_out_blocks_of_ground_are_compared_over_blocks(tmp_path: Path) -> None:
    a, b = by_block(tmp_path / "a", [4] * 8), by_block(tmp_path / "b", [8] * 7 + [0])
    rows = {row.score: row for row in compare(a, b, "oof")}
    # A hits 8 · (4 + 5) = 72 of 160, B 7 · (8 + 9) + 0 + 1 = 120: Dice 144/232 and 240/280. Both scenes are alike; of
    # the blocks the last is worse, and all eight draws are that block in 8⁻⁸ of the draws.
    dice = rows["Dice"]
    assert (dice.a, dice.b, dice.clusters) == (pytest.approx(144 / 232), pytest.approx(240 / 280), "blocks")
    assert dice.difference.clusters == 8
    assert (dice.difference.low or 0) < 240 / 280 - 144 / 232 < (dice.difference.high or 0)
    # As many of 160 objects are found, by as many of 160.
    f1 = rows["object F1 at IoU ≥ .25"]
    assert (f1.a, f1.b, f1.clusters, f1.difference.clusters) == (72 / 160, 120 / 160, "blocks", 8)
    few = compare(by_block(tmp_path / "c", [4]), by_block(tmp_path / "d", [5]), "oof")[0]
    assert "cannot be said (1 blocks; an interval needs 8)" in verdict(few, ("c", "d"))


def test_scores_by_scene_and_by_block_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = by_block(tmp_path / "a", [4] * 8), by_block(tmp_path / "b", [4] * 8)
    for name, of in (("matrices", ["scene", "truth", "prediction"]), ("counts", ["scene"])):  # as earlier versions did
        path = b / "eval" / "oof" / f"{name}.csv"
        pd.read_csv(path).drop(columns="block").groupby(of, sort=False).sum().to_csv(path)
    code, line = error(capsys, "compare", a, b, "--split", "oof")
    assert code == 3
    assert line == (
        f"only one of the two runs has its scores by block of ground in {b}: "
        "if both held out blocks, score both again: seepseg eval RUN --split oof"
    )
    # Two old ones are compared as they were.
    assert [row.clusters for row in compare(b, b, "oof")] == ["scenes"] * 4
    with pytest.raises(DataError, match=r"different blocks \(0, 8\)"):
        compare(a, by_block(tmp_path / "c", [4] * 8, first=1), "oof")


def test_what_may_be_chance_is_said_to_be(tmp_path: Path) -> None:
    a = evaluation(tmp_path / "a", [5] * 10)
    b = evaluation(tmp_path / "b", [10, 1] * 5)
    # A hits 50 of 100: Dice 100/150; B 55: 110/155.
    line = verdict(compare(a, b, "val")[0], ("a", "b"))
    assert line.startswith("no difference can be shown in foreground Dice: B − A is +0.0430, 95 % interval -")
    same = verdict(compare(a, a, "val")[0], ("a", "a"))
    assert same.startswith("no difference can be shown in foreground Dice: B − A is +0.0000, ")


def test_few_scenes_have_a_difference_and_no_interval(tmp_path: Path) -> None:
    c, d = (evaluation(tmp_path / n, hits) for n, hits in (("c", [5, 5]), ("d", [6, 6])))
    rows = compare(c, d, "val")
    assert verdict(rows[0], ("c", "d")) == (
        "d is better in foreground Dice by 0.0833; how sure that is cannot be said (2 scenes; an interval needs 8)"
    )
    assert verdict(compare(c, c, "val")[0], ("c", "c")).startswith("no difference in foreground Dice; how sure")
    # What does not exist takes no column.
    assert list(table(rows).columns) == ["score", "a", "b", "difference", "clusters"]


def test_salt_is_compared_by_its_own_score_first(tmp_path: Path) -> None:
    runs = []
    for name, scores in (("a", [0.5] * 8), ("b", [0.6] * 8)):
        runs.append(evaluation(tmp_path / name, [5] * 8, ["background", "salt"]))
        tiles = pd.DataFrame({"tile": [f"{i}" for i in range(8)], "tgs_score": scores})
        tiles.to_csv(runs[-1] / "eval" / "val" / "tiles.csv", index=False)
    rows = compare(*runs, "val")
    assert [(row.score, row.clusters) for row in rows] == [
        ("TGS score", "tiles"),
        ("Dice", "scenes"),
        ("IoU", "scenes"),
    ]
    assert rows[0].difference.value == pytest.approx(0.1)
    assert verdict(rows[0], ("a", "b")).startswith("b is better in TGS score by 0.1000, in 100% of the draws; ")


def test_runs_of_any_name_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = evaluation(tmp_path / "low", [5] * 10)
    b = evaluation(tmp_path / "score", [6] * 10)
    for pair in ((a, b), (a, a)):
        code, out, _ = run(capsys, "compare", *pair)
        assert (code, "B better" in out) == (0, True)


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = evaluation(tmp_path / "a", [5, 5])
    with pytest.raises(DataError, match=r"different scenes \(s1, s9\)"):
        compare(a, evaluation(tmp_path / "b", [5, 5], scenes=["s0", "s9"]), "val")
    with pytest.raises(DataError, match=r"class tables differ \(thick, thin; thick, other\)"):
        compare(a, evaluation(tmp_path / "c", [5, 5], ["background", "thick", "other"]), "val")
    with pytest.raises(DataError, match="not scored on the same truth"):
        compare(a, evaluation(tmp_path / "d", [5, 5], truth=11), "val")
    with pytest.raises(ConfigError, match="not evaluated on oof"):
        compare(a, a, "oof")
    assert error(capsys, "compare", a, tmp_path / "none") == (
        2,
        f"not evaluated on val in {tmp_path / 'none'}: run: seepseg eval {tmp_path / 'none'} --split val",
    )
