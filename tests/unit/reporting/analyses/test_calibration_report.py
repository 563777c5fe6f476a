"""The report of calibration."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adaptbench.cli import main
from adaptbench.evaluation.calibration import CalibrationCounts, calibration_counts
from adaptbench.records.record import Record
from adaptbench.reporting.analyses.calibration import CALIBRATION, Measured


def counts(confidence: float) -> CalibrationCounts:
    """Four pixels, three of them right, with this confidence."""
    probability = np.full((2, 2, 2), 1 - confidence, np.float32)
    probability[0] = confidence
    return calibration_counts(probability, np.array([[0, 0], [0, 1]], np.uint8))


def test_files(record: Callable[..., Record], tmp_path: Path) -> None:
    made = [("sure", 0, 0.99), ("sure", 1, 0.95), ("honest", 0, 0.75)]
    measured = [
        Measured(record(method, seed=seed), "cityscapes/val", 1, ("a", "b"), counts(confidence))
        for method, seed, confidence in made
    ]
    page, table, image = CALIBRATION.write(measured, tmp_path)
    text = page.read_text()
    assert text.index("| honest") < text.index("| sure") and "22.0 ± 2.8" in text
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(row["ECE"]) for row in rows] == pytest.approx([24.0, 20.0, 0.0], abs=1e-3)
    assert image.read_bytes().startswith(b"\x89PNG")
    before = [path.read_bytes() for path in (page, table, image)]
    assert [path.read_bytes() for path in CALIBRATION.write(measured, tmp_path)] == before


def test_nothing_to_look_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", "calibration", "--out", str(tmp_path)]) == 2
    assert "has no such finished run" in capsys.readouterr().err
