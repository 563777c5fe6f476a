"""The report of Class Center Distances, and what the verb says where there is nothing to look into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adaptbench.cli import main
from adaptbench.records import formatting
from adaptbench.records.record import Record
from adaptbench.reporting.analyses.class_centers import CCD, Measured, quantities

Maker = Callable[..., Record]
CLASSES = ("road", "car", "train")


def measured(record: Record, stage: str, *distance: float) -> Measured:
    return Measured(record, "cityscapes/val", 72, CLASSES, stage, np.array(distance))


@pytest.fixture
def both(record: Maker) -> list[Measured]:
    first, second = record("fada", seed=0), record("fada", seed=1)
    return [
        measured(first, "source", 1.0, 2.0, np.nan),
        measured(first, "alignment", 0.5, 1.0, np.nan),
        measured(second, "source", 2.0, 3.0, np.nan),
        measured(second, "alignment", 0.5, 1.0, np.nan),
    ]


def test_seeds_are_averaged_and_stages_are_not(both: list[Measured]) -> None:
    source, alignment = CCD.rows(both)
    mean, *classes = quantities(both[0])
    np.testing.assert_array_equal([one.mean(source) for one in classes], [1.5, 2.5, np.nan])
    assert [one.text(source) for one in classes] == ["1.500", "2.500", formatting.MISSING]
    assert mean.text(source) == "2.000 ± 0.707"
    assert mean.text(alignment) == "0.750 ± 0.000"
    assert (source.first.stage, source.first.record.seed) == ("source", 0)


def test_the_report_is_deterministic(both: list[Measured], tmp_path: Path) -> None:
    pages = [CCD.write(both, tmp_path / folder) for folder in ("a", "b")]
    assert [path.suffix for path in pages[0]] == [".md", ".csv", ".png"]
    assert [p.read_bytes() for p in pages[0]] == [p.read_bytes() for p in pages[1]]
    page = pages[0][0].read_text(encoding="utf-8")
    assert "72 images of cityscapes/val" in page
    assert "2.000 ± 0.707" in page
    table = pd.read_csv(pages[0][1])
    assert table["ccd:car"].tolist() == [2.0, 1.0, 3.0, 1.0]
    assert table["ccd:train"].isna().all()
    assert table["mean"].tolist() == [1.5, 0.75, 2.5, 0.75]


def test_without_such_a_run_it_says_which_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyse", "ccd", "--out", str(tmp_path), "--methods", "fada"]) == 2
    assert "has no such finished run. There are: none." in capsys.readouterr().err
    assert main(["analyse", "ccd", "--out", str(tmp_path), "--limit", "0"]) == 2
    assert "--limit 0: give at least 1." in capsys.readouterr().err
