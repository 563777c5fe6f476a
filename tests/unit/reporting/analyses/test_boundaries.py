"""The report of scores near boundaries."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adaptbench.cli import main
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.evaluation.boundary import boundary_counts
from adaptbench.evaluation.metrics import miou
from adaptbench.records.record import Record
from adaptbench.reporting.analyses.boundaries import BOUNDARY, Measured, quantities

MakeRecord = Callable[..., Record]


@pytest.fixture
def measured(record: MakeRecord) -> list[Measured]:
    """Two seeds of a method that blurs boundaries, and one of a method that is right."""
    label = np.zeros((64, 96), dtype=np.uint8)
    label[:, 40:] = 13
    label[:4] = 255
    moved = [np.roll(label, shift, axis=1) for shift in (2, 4, 0)]
    predictions = [np.where(m == 255, 0, m).astype(np.uint8) for m in moved]
    records = [
        record("blurry", seed=0),
        record("blurry", seed=1),
        record("right", seed=0),
    ]
    return [
        Measured(made, "cityscapes/val", 1, CITYSCAPES19.classes, boundary_counts(label, prediction, 19))
        for made, prediction in zip(records, predictions, strict=True)
    ]


def test_rows_are_means_over_seeds_and_the_best_boundaries_come_first(measured: list[Measured]) -> None:
    rows = BOUNDARY.rows(measured)
    scores = {one.header: one for one in quantities(measured[0])}
    assert [row.first.record.method for row in rows] == ["right", "blurry"]
    assert scores["boundary IoU"].text(rows[0]) == "100.0"
    assert " ± " in scores["boundary IoU"].text(rows[1])
    narrow, wide = (scores[f"up to {radius} px"].mean(rows[1]) for radius in (1, 32))
    assert narrow < wide < 100.0


def test_bands_and_the_rest_are_the_whole(measured: list[Measured]) -> None:
    counts = measured[0].counts
    assert np.array_equal(counts.beyond + counts.bands[32], counts.whole)
    assert quantities(measured[0])[0].value(measured[0]) == pytest.approx(100 * miou(counts.whole))
    twice = counts + counts
    assert twice.overlap.iou[13] == counts.overlap.iou[13]
    assert np.array_equal(twice.bands[4], 2 * counts.bands[4])


def test_files(measured: list[Measured], tmp_path: Path) -> None:
    page, table, image = BOUNDARY.write(measured, tmp_path)
    assert page.name.startswith("boundary-")
    text = page.read_text()
    assert "| right" in text and "| blurry" in text and "up to 16 px" in text
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["seed"] for row in rows] == ["0", "1", "0"]
    assert float(rows[2]["boundary_iou:car"]) == 100.0
    assert rows[2]["boundary_iou:train"] == ""
    assert image.read_bytes().startswith(b"\x89PNG")
    before = [path.read_bytes() for path in (page, table, image)]
    assert [path.read_bytes() for path in BOUNDARY.write(measured, tmp_path)] == before


def test_nothing_to_look_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "boundary", "--out", str(tmp_path)]) == 2
    assert "has no such finished run" in capsys.readouterr().err
