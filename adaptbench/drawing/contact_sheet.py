"""A contact sheet: panels in rows and columns with their titles and captions, as one PNG file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from adaptbench.storage import atomic

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

#: Width of a panel, space between panels, border of the sheet, and height of a line of text. Units: pixels.
PANEL, GAP, MARGIN, LINE = 256, 6, 12, 18
_TITLE, _TEXT = 14, 12
_INK: Colour = (27, 36, 48)
_QUIET: Colour = (102, 112, 133)
_LEGEND_WIDTH = 116
_SWATCH = 11


@dataclass(frozen=True)
class Panel:
    """A picture and a few words below it.

    Shape: picture ``(H, W, 3)`` RGB uint8.

    Attributes:
        smooth: whether its pixels may be averaged to make it smaller; colours of classes may not.
    """

    picture: Pixels
    caption: str = ""
    smooth: bool = True


@dataclass(frozen=True)
class Column:
    """Panels of one kind, a panel per sample."""

    title: str
    panels: Sequence[Panel]


def contact_sheet(
    columns: Sequence[Column],
    heading: Sequence[str],
    legend: Sequence[tuple[str, Colour]],
    path: Path,
) -> None:
    """Draws a row per sample, with a heading above and a legend of colours below.

    Every panel is `PANEL` pixels wide; a row is as high as its highest panel.

    Raises:
        RunStateError: ``path`` cannot be written.
    """
    width = 2 * MARGIN + len(columns) * (PANEL + GAP) - GAP
    lines = [line for text in heading for line in textwrap.wrap(text, (width - 2 * MARGIN) // 7)]
    rows = [_row(columns, number) for number in range(max(len(column.panels) for column in columns))]
    per_line = max(1, (width - 2 * MARGIN) // _LEGEND_WIDTH)
    height = 2 * MARGIN + LINE * (len(lines) + 1 + -(-len(legend) // per_line))
    sheet = Image.new("RGB", (width, height + sum(_height(row) for row in rows)), "white")
    draw = ImageDraw.Draw(sheet)
    top = _write_lines(draw, lines)
    for number, column in enumerate(columns):
        draw.text((_left(number), top), _fitted(column.title, _TITLE), _INK, _font(_TITLE))
    top += LINE
    for row in rows:
        _draw_row(sheet, draw, row, top)
        top += _height(row)
    _draw_legend(draw, legend, per_line, top)
    with atomic.replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _row(columns: Sequence[Column], number: int) -> list[Panel | None]:
    """Panels of one sample; None where a column has none."""
    return [column.panels[number] if number < len(column.panels) else None for column in columns]


def _height(row: Sequence[Panel | None]) -> int:
    """Of the row with its captions and the space below."""
    return max(_size(panel)[1] for panel in row if panel is not None) + LINE + GAP


def _size(panel: Panel) -> tuple[int, int]:
    height, width = panel.picture.shape[:2]
    return PANEL, max(1, round(PANEL * height / width))


def _left(number: int) -> int:
    return MARGIN + number * (PANEL + GAP)


def _write_lines(draw: ImageDraw.ImageDraw, lines: Sequence[str]) -> int:
    """The heading; returns where it ends."""
    for number, line in enumerate(lines):
        colour = _INK if number == 0 else _QUIET
        draw.text((MARGIN, MARGIN + number * LINE), line, colour, _font(_TITLE if number == 0 else _TEXT))
    return MARGIN + len(lines) * LINE


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Sequence[Panel | None], top: int) -> None:
    bottom = top + _height(row) - LINE - GAP
    for number, panel in enumerate(row):
        if panel is None:
            continue
        how = Image.Resampling.BOX if panel.smooth else Image.Resampling.NEAREST
        sheet.paste(Image.fromarray(panel.picture).resize(_size(panel), how), (_left(number), top))
        draw.text((_left(number), bottom + 2), _fitted(panel.caption, _TEXT), _QUIET, _font(_TEXT))


def _draw_legend(
    draw: ImageDraw.ImageDraw, legend: Sequence[tuple[str, Colour]], per_line: int, top: int
) -> None:
    for number, (name, colour) in enumerate(legend):
        line, place = divmod(number, per_line)
        left, middle = MARGIN + place * _LEGEND_WIDTH, top + line * LINE + LINE // 2
        box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2)
        draw.rectangle(box, fill=colour, outline=_QUIET)
        draw.text((left + _SWATCH + 5, top + line * LINE + 2), name, _INK, _font(_TEXT))


def _fitted(text: str, size: int) -> str:
    """``text`` without its middle where it is longer than a panel is wide."""
    kept = len(text)
    shown = text
    while _font(size).getlength(shown) > PANEL and kept > 1:
        kept -= 1
        shown = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return shown


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the other pictures, which comes with matplotlib."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
