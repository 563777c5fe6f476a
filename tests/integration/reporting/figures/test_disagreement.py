"""Which images are shown, and the images of classes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.data.taxonomy import IGNORE
from adaptbench.records.record import Record
from adaptbench.reporting.board import boards
from adaptbench.reporting.figures.canvas import save
from adaptbench.reporting.figures.class_figures import class_bars, confusion_image
from adaptbench.reporting.figures.strips import SHOWN, StripRow, chosen, dispute

Maker = Callable[..., Record]


def strip(name: str, methods: int, classes: int, seed: int = 0) -> StripRow:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, (6, 8)).astype(np.uint8)
    truth[0] = IGNORE
    predictions = {f"m{i}": random.integers(0, classes, (6, 8)).astype(np.uint8) for i in range(methods)}
    return StripRow(name, np.zeros((6, 8, 3), np.uint8), truth, predictions)


@pytest.mark.parametrize(("methods", "classes"), [(2, 2), (3, 4), (7, 19)])
def test_dispute_is_the_mean_over_pairs(methods: int, classes: int) -> None:
    row = strip("a", methods, classes)
    labelled = row.truth != IGNORE
    pairs = combinations(row.predictions.values(), 2)
    expected = np.mean([(a != b)[labelled].mean() for a, b in pairs])
    assert dispute(row) == pytest.approx(expected)


def test_a_single_method_disputes_nothing() -> None:
    assert dispute(strip("a", 1, 5)) == 0.0
    row = strip("a", 3, 5)
    row.truth[:] = IGNORE
    assert dispute(row) == 0.0


def test_the_first_stay_and_the_most_disputed_follow() -> None:
    rows = [strip(f"p{i}", 3, 1 + i % 7, seed=i) for i in range(20)]
    first, disputed = chosen(rows)
    assert first == rows[:SHOWN]
    values = [dispute(row) for row in disputed]
    assert values == sorted(map(dispute, rows[SHOWN:]), reverse=True)[:SHOWN]


def test_where_little_was_kept_nothing_is_disputed() -> None:
    assert chosen([strip("a", 2, 3)] * SHOWN)[1] == []


def test_bars_and_confusion_are_the_same_bytes_again(records: list[Record], tmp_path: Path) -> None:
    (board,) = boards(records)
    matrix = np.arange(19 * 19).reshape(19, 19)
    matrix[4] = 0
    for name in ("a", "b"):
        save(class_bars(board), tmp_path / f"bars-{name}.png")
        save(confusion_image(matrix, board.classes, "title", "note"), tmp_path / f"matrix-{name}.png")
    for kind in ("bars", "matrix"):
        assert (tmp_path / f"{kind}-a.png").read_bytes() == (tmp_path / f"{kind}-b.png").read_bytes()
        with Image.open(tmp_path / f"{kind}-a.png") as image:
            assert len(image.getcolors(1 << 20) or []) > 20, "something is drawn"
