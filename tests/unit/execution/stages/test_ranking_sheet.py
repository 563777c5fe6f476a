"""The table and the contact sheet of a ranking."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.drawing.contact_sheet import GAP, LINE, MARGIN, PANEL
from adaptbench.errors import DataError
from adaptbench.execution.stages.ranking_sheet import ROWS, Ranking, draw_sheet, write_table

NAMES = [f"cityscapes-train/{number}" for number in range(8)]


@pytest.fixture
def kept(tmp_path: Path) -> PseudoLabels:
    labels = PseudoLabels(tmp_path)
    for number, name in enumerate(NAMES):
        labels.add(name, np.full((4, 4), number, dtype=np.uint8), {"information": number / 8})
    return labels


@pytest.fixture
def ranking(kept: PseudoLabels) -> Ranking:
    return Ranking(NAMES[5:] + NAMES[:2], NAMES[2:5], kept.entries())


def grey(name: str) -> np.ndarray:
    return np.full((4, 4, 3), 10 * int(name[-1]), dtype=np.uint8)


def test_table(ranking: Ranking, tmp_path: Path) -> None:
    write_table(ranking, tmp_path / "ranking.csv")
    header, first, *_, last = (tmp_path / "ranking.csv").read_text(encoding="utf-8").splitlines()
    assert header == "place,image,part,information"
    assert first == "1,cityscapes-train/5,labelled,0.625"
    assert last == "8,cityscapes-train/4,unlabelled,0.5"


def test_sheet_shows_both_ends(ranking: Ranking, kept: PseudoLabels, tmp_path: Path) -> None:
    path = tmp_path / "ranking.png"
    draw_sheet(ranking, kept, {name: partial(grey, name) for name in NAMES}, CITYSCAPES19, "title", path)
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    assert sheet.shape[1] == 2 * MARGIN + 4 * (PANEL + GAP) - GAP

    def panel(row: int, column: int) -> list[int]:
        top = MARGIN + 3 * LINE + row * (PANEL + LINE + GAP) + PANEL // 2
        found: list[int] = sheet[top, MARGIN + column * (PANEL + GAP) + PANEL // 2].tolist()
        return found

    order = ranking.order
    for row in (0, ROWS - 1):
        for column, name in ((0, order[row]), (2, order[-1 - row])):
            assert panel(row, column) == [10 * int(name[-1])] * 3
            assert panel(row, column + 1) == list(CITYSCAPES19.palette[int(name[-1])])


def test_a_missing_pseudo_label_is_named(ranking: Ranking, kept: PseudoLabels, tmp_path: Path) -> None:
    kept.file(NAMES[5]).unlink()
    images = {name: partial(grey, name) for name in NAMES}
    with pytest.raises(DataError, match=r"Cannot read .*5\.png"):
        draw_sheet(ranking, kept, images, CITYSCAPES19, "title", tmp_path / "ranking.png")
