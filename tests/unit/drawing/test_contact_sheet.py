"""Sizes and places on a contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.drawing.contact_sheet import GAP, LINE, MARGIN, PANEL, Column, Panel, contact_sheet
from adaptbench.errors import RunStateError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def panel(colour: tuple[int, int, int], height: int = 4, width: int = 4, caption: str = "") -> Panel:
    return Panel(np.full((height, width, 3), colour, dtype=np.uint8), caption)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_layout(tmp_path: Path) -> None:
    columns = [Column("a", [panel(RED), panel(BLUE)]), Column("b", [panel(BLUE, height=2), panel(RED)])]
    contact_sheet(columns, ["heading"], [("road", RED)], tmp_path / "sheet.png")
    sheet = opened(tmp_path / "sheet.png")
    row = PANEL + LINE + GAP
    assert sheet.shape == (2 * MARGIN + 3 * LINE + 2 * row, 2 * MARGIN + 2 * PANEL + GAP, 3)
    top = MARGIN + 2 * LINE
    for (line, place), colour in {(0, 0): RED, (1, 0): BLUE, (1, 1): RED}.items():
        left = MARGIN + place * (PANEL + GAP)
        image = sheet[top + line * row :, left:][:PANEL, :PANEL]
        assert (image == colour).all()
    flat = sheet[top:, MARGIN + PANEL + GAP :][:PANEL, :PANEL]
    assert (flat[: PANEL // 2] == BLUE).all() and (flat[PANEL // 2 :] == 255).all()


def test_long_headings_wrap_and_legends_take_lines(tmp_path: Path) -> None:
    columns = [Column("a title that is much longer than its column is wide", [panel(RED, caption="x" * 200)])]
    legend = [(f"class {i}", BLUE) for i in range(5)]
    contact_sheet(columns, ["one", "two words " * 20], legend, tmp_path / "sheet.png")
    sheet = opened(tmp_path / "sheet.png")
    assert sheet.shape[1] == 2 * MARGIN + PANEL
    lines = (sheet.shape[0] - 2 * MARGIN - PANEL - LINE - GAP) / LINE
    assert lines == 1 + 6 + 1 + 3
    assert (sheet[:, -MARGIN:] == 255).all(), "text runs over the border"


@pytest.mark.parametrize(("neighbour", "longest"), [("", 2 * PANEL + GAP), ("y", PANEL)])
def test_a_caption_is_as_long_as_there_is_room(tmp_path: Path, neighbour: str, longest: int) -> None:
    columns = [Column("a", [panel(RED, caption="x" * 200)]), Column("b", [panel(RED, caption=neighbour)])]
    contact_sheet(columns, [], [], tmp_path / "sheet.png")
    line = opened(tmp_path / "sheet.png")[MARGIN + LINE + PANEL : -MARGIN, MARGIN:].min(axis=(0, 2))
    (inked,) = np.nonzero(line < 255)
    last = inked[inked < longest].max()
    assert longest * 0.85 < last < longest


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        contact_sheet([Column("a", [panel(RED)])], ["heading"], [("road", RED)], tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_large_labels_keep_their_colours(tmp_path: Path) -> None:
    stripes = np.zeros((512, 512, 3), dtype=np.uint8)
    stripes[::2] = RED
    for smooth, colours in ((False, 1), (True, 1)):
        column = Column("a", [Panel(stripes, smooth=smooth)])
        contact_sheet([column], [], [], tmp_path / "sheet.png")
        image = opened(tmp_path / "sheet.png")[MARGIN + LINE :, MARGIN:][:PANEL, :PANEL]
        found = {tuple(c) for c in np.unique(image.reshape(-1, 3), axis=0).tolist()}
        assert len(found) == colours
        assert (found <= {RED, (0, 0, 0)}) != smooth


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunStateError, match=r"Cannot write .*sheet\.png"):
        contact_sheet([Column("a", [panel(RED)])], [], [], tmp_path / "file" / "sheet.png")
