"""Rows of one board average over the same classes, and every mean in a report is the one of the records."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from adaptbench.contracts.benchmark import AbsentClasses
from adaptbench.contracts.study import Study, Variant
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.evaluation.boundary import BoundaryCounts, Overlap
from adaptbench.evaluation.class_views import class_views, closed
from adaptbench.evaluation.metrics import miou, per_image_miou, score
from adaptbench.records.average import Average, miou_only
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.record import Record, folder_of, save_record
from adaptbench.reporting import averaged
from adaptbench.reporting.analyses import boundaries
from adaptbench.reporting.analyses.views import Viewed
from adaptbench.reporting.board import Board, boards
from adaptbench.reporting.comparison.compared import compare
from adaptbench.reporting.comparison.sides import Side
from adaptbench.reporting.latex import render_latex
from adaptbench.reporting.leaderboard import render_csv, render_markdown, to_json
from adaptbench.reporting.matrices import load_tallies
from adaptbench.reporting.studies.series import Series, current
from adaptbench.reporting.studies.study_table import study_table
from adaptbench.statistics.bootstrap import bootstrap

Maker = Callable[..., Record]
Matrix = npt.NDArray[np.int64]
#: Road, sidewalk and building are in the truth; wall is not.
TRUE, WALL = (0, 1, 2), 3
SPLIT = "cityscapes/val"


def matrix(hits: int, guesses_wall: int = 0) -> Matrix:
    """Three labelled classes of 100 pixels each; some misses are taken for wall, the others for the next class."""
    counts = np.zeros((19, 19), np.int64)
    for c in TRUE:
        counts[c, c] = hits
        counts[c, WALL] = guesses_wall
        counts[c, (c + 1) % 3] = 100 - hits - guesses_wall
    return counts


#: IntraDA predicts no wall and is worse on all classes that there are; DACS predicts some.
INTRADA, DACS = matrix(42), matrix(45, guesses_wall=3)


def scored(record: Maker, method: str, counts: Matrix, absent: AbsentClasses, **fields: Any) -> Record:
    found = score(counts, CITYSCAPES19, split=SPLIT, provenance="generated", images=2, absent=absent)
    return record(method, scores=[found], ranking={"absent_classes": absent}, **fields)


def both(record: Maker, absent: AbsentClasses, **fields: Any) -> Board:
    each = {"intrada": INTRADA, "dacs": DACS}
    (board,) = boards([scored(record, method, counts, absent, **fields) for method, counts in each.items()])
    return board


def order(board: Board) -> list[str]:
    return [row.first.method for row in board.ranked]


def test_who_predicts_an_absent_class_is_averaged_over_the_same_classes(record: Maker) -> None:
    board = both(record, "labelled")
    assert order(board) == ["dacs", "intrada"]
    assert [row.counted for row in board.rows] == [(3,), (3,)]
    assert not averaged.differs(board)
    assert all((board.view, "wall") not in row.statistics for row in board.rows)


def test_the_mean_over_predicted_classes_ranked_them_the_other_way_round(record: Maker) -> None:
    board = both(record, "skip")
    assert order(board) == ["intrada", "dacs"]
    assert [row.counted for row in board.rows] == [(3,), (4,)]


def test_records_of_two_conventions_are_never_ranked_together(record: Maker) -> None:
    made = [scored(record, "dacs", DACS, "labelled"), scored(record, "intrada", INTRADA, "skip")]
    first, second = boards(made)
    assert first.ranking_hash != second.ranking_hash
    assert [len(board.ranked) for board in (first, second)] == [1, 1]
    assert "absent_classes is" in first.departs + second.departs


@pytest.mark.parametrize(
    ("absent", "said", "marked"),
    [
        (
            "labelled",
            "over the 3 classes in the truth of the split, for every row the same; not in it: wall,",
            False,
        ),
        ("skip", "over the classes in truth or prediction", True),
        ("zero", "over all 19 classes", True),
    ],
)
def test_boards_say_over_how_many_classes(
    record: Maker, absent: AbsentClasses, said: str, marked: bool
) -> None:
    board = both(record, absent)
    assert said in averaged.sentence(board)
    assert averaged.differs(board) == marked
    page = render_markdown(board.records)
    assert said in page and ("|   classes |" in page) == marked
    assert said in render_latex(board.records)
    lines = list(csv.DictReader(io.StringIO(render_csv(board.records))))
    expected = {"labelled": ["3", "3"], "skip": ["3", "4"], "zero": ["19", "19"]}[absent]
    assert sorted(line["n_classes"] for line in lines) == expected


def test_a_scored_class_that_no_source_image_shows_is_named(record: Maker) -> None:
    board = both(record, "labelled", unseen=["building"])
    assert averaged.sentence(board).endswith("No source image shows building, which the mean counts.")
    assert "No source image shows building" in render_markdown(board.records)
    assert to_json(board.records)[0]["unseen"] == ["building"]
    assert averaged.unseen(both(record, "labelled")) == []


# ------------------------------------------------------------------- every mean is this one


@pytest.fixture(params=["labelled", "skip", "zero"])
def run(
    request: pytest.FixtureRequest, record: Maker, tmp_path: Path
) -> tuple[Record, PerImageConfusion, Path]:
    """Five seeds of one and the same scores, with their matrices, of two images in two conditions."""
    absent: AbsentClasses = request.param
    kept = PerImageConfusion.collect(
        {"a_0": DACS, "b_0": matrix(60)}, [{"condition": "fog"}, {"condition": "rain"}]
    )
    made = scored(record, "dacs", kept.total(), absent)
    kept.save(matrices_path(tmp_path, made, SPLIT))
    save_record(made, folder_of(made, tmp_path) / "record.json")
    return made, kept, tmp_path


Run = tuple[Record, PerImageConfusion, Path]


def test_of_the_record_and_the_board(run: Run) -> None:
    record, kept, _ = run
    ours = 100 * Average.of(record.ranking).miou(kept.total())
    assert record.scores[0].miou == pytest.approx(ours, abs=1e-12)
    (board,) = boards([record])
    assert board.rows[0].miou.mean == pytest.approx(ours, abs=1e-12)
    occurring = [value for value in record.scores[0].iou.values() if value is not None]
    assert board.rows[0].counted == (19 if record.ranking["absent_classes"] == "zero" else len(occurring),)
    assert sum(occurring) / board.rows[0].counted[0] == pytest.approx(ours)


def test_of_the_bootstrap(run: Run) -> None:
    record, _, out = run
    tallied = load_tallies(out, [record], SPLIT)
    quantities = partial(miou_only, average=Average.of(record.ranking))
    found = bootstrap({"x": tallied.tallies}, ["a", "b"], quantities, resamples=10)["x"]
    assert found.mean[0] == pytest.approx(record.scores[0].miou)


def test_of_a_comparison_and_its_conditions_and_images(run: Run) -> None:
    record, kept, out = run
    tallied = load_tallies(out, [record], SPLIT)
    side = Side("dacs", (record,))
    found = compare((side, side), (tallied, tallied), list(record.scores[0].iou), ["a", "b"])
    average = Average.of(record.ranking)
    assert found.overall.first == pytest.approx(record.scores[0].miou)
    per_class = {line.name: line.first for line in found.classes}
    assert per_class == pytest.approx(record.scores[0].iou)
    of_image = Average() if average.absent == "zero" else average
    images = {line.name: line.first for line in found.per_image}
    assert images == pytest.approx(
        {name: 100 * of_image.miou(one) for name, one in zip(kept.names, kept.matrices, strict=True)}
    )


def test_of_the_conditions_and_views(run: Run) -> None:
    record, kept, _ = run
    viewed = Viewed(record, SPLIT, 2, CITYSCAPES19.classes, "cityscapes19", kept)
    average, names = Average.of(record.ranking), ("fog", "rain")
    assert viewed.sections["Mean IoU of 19 classes by condition"] == pytest.approx(
        {name: 100 * average.miou(one) for name, one in zip(names, kept.matrices, strict=True)}
    )
    own = {
        "labelled": "19 classes",
        "skip": "19 classes, labelled or predicted",
        "zero": "19 classes, absent ones 0",
    }[average.absent]
    assert viewed.score("Mean IoU by class view", own) == pytest.approx(record.scores[0].miou)


def test_of_scores_near_boundaries(run: Run) -> None:
    record, kept, _ = run
    total = kept.total()
    hits = np.diagonal(total)
    overlap = Overlap(hits, total.sum(axis=0) + total.sum(axis=1) - hits)
    counts = BoundaryCounts(overlap, total, {1: total, 32: total})
    one = boundaries.Measured(record, SPLIT, 2, CITYSCAPES19.classes, counts)
    found = {quantity.header: quantity.value(one) for quantity in boundaries.quantities(one)}
    for header in ("mIoU", "up to 1 px", "boundary IoU"):  # these boundaries are whole masks
        assert found[header] == pytest.approx(record.scores[0].miou)


def test_of_studies(run: Run) -> None:
    record, _, _ = run

    class One(Study):
        name, title, table, benchmarks = "one", "One", "none", ("gta5_to_cityscapes",)
        variants = (Variant("dacs", "dacs"),)

    facts: dict[str, Any] = {"study": "one", "file": None, "board": record.benchmark, "profile": "mini"}
    series = Series(
        **facts,
        ranking_hash="that of a former convention",
        device="cpu",
        settings=[],
        limit=None,
        variants={"dacs": record.group_hash},
    )
    (moved,) = current([series], [record])
    assert moved.ranking_hash == record.ranking_hash
    assert current([series, moved], [record]) == current([moved, series], [record]) == [moved]
    (row,) = study_table(One, moved, [record]).rows
    assert row.miou is not None and row.miou.mean == record.scores[0].miou


def test_of_single_images() -> None:
    both_images = np.stack([DACS, INTRADA])
    np.testing.assert_allclose(per_image_miou(both_images), [miou(DACS), miou(INTRADA)])
    assert class_views("cityscapes19", 19)[0].miou(closed(DACS)) == pytest.approx(miou(DACS))
