"""A sheet of images: panels in rows and columns with their titles and captions, as one PNG file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile, zip_longest
from pathlib import Path

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
#: Width of a character as a share of its height.
_WIDE = 0.6
#: A sheet of a given width has panels of at least so many pixels.
_SMALLEST = 104


@dataclass(frozen=True)
class Panel:
    """An image and a few words below it.

    Its pixels may be averaged to make it smaller if it is ``smooth``; colours of classes may not. Shape:
    image ``(H, W, 3)`` RGB uint8.
    """

    image: Pixels
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
    panel: int = PANEL,
) -> None:
    """Draws a row per sample, with a heading above and a legend of colours below.

    Every panel is ``panel`` pixels wide; a row is as high as its highest panel.

    Raises:
        RunStateError: ``path`` cannot be written.
    """
    width = 2 * MARGIN + len(columns) * (panel + GAP) - GAP
    lines = [line for text in heading for line in textwrap.wrap(text, (width - 2 * MARGIN) // 7)]
    rows = list(zip_longest(*(column.panels for column in columns)))
    per_line = max(1, (width - 2 * MARGIN) // _LEGEND_WIDTH)
    heights = [max(_size(one, panel)[1] for one in row if one is not None) for row in rows]
    height = 2 * MARGIN + LINE * (len(lines) + 1 + -(-len(legend) // per_line))
    sheet = Image.new("RGB", (width, height + sum(heights) + len(rows) * (LINE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        colour, size = (_INK, _TITLE) if number == 0 else (_QUIET, _TEXT)
        draw.text((MARGIN, MARGIN + number * LINE), line, colour, _font(size))
    top = MARGIN + len(lines) * LINE
    for number, column in enumerate(columns):
        left = MARGIN + number * (panel + GAP)
        draw.text((left, top), fitted(column.title, int(panel / _TITLE / _WIDE)), _INK, _font(_TITLE))
    top += LINE
    for row, highest in zip(rows, heights, strict=True):
        _draw_row(sheet, draw, row, (top, top + highest), panel)
        top += highest + LINE + GAP
    _draw_legend(draw, legend, per_line, top)
    with atomic.replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def panel_width(columns: int, width: int) -> int:
    """Of so many columns on a sheet of this width, or a wider one where they would be too small. Units: pixels."""
    return max(_SMALLEST, (width - 2 * MARGIN + GAP) // columns - GAP)


def _size(one: Panel, panel: int) -> tuple[int, int]:
    height, width = one.image.shape[:2]
    return panel, max(1, round(panel * height / width))


def _draw_row(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Sequence[Panel | None], y: tuple[int, int], panel: int
) -> None:
    for number, one in enumerate(row):
        if one is not None:
            left = MARGIN + number * (panel + GAP)
            how = Image.Resampling.BOX if one.smooth else Image.Resampling.NEAREST
            sheet.paste(Image.fromarray(one.image).resize(_size(one, panel), how), (left, y[0]))
            room = panel + (panel + GAP) * _free_after(row, number)
            caption = fitted(one.caption, int(room / _TEXT / _WIDE))
            draw.text((left, y[1] + 2), caption, _QUIET, _font(_TEXT))


def _free_after(row: Sequence[Panel | None], number: int) -> int:
    """How many panels to the right of one have no caption, so that there is room for its own."""
    return sum(1 for _ in takewhile(lambda one: one is None or not one.caption, row[number + 1 :]))


def _draw_legend(
    draw: ImageDraw.ImageDraw, legend: Sequence[tuple[str, Colour]], per_line: int, top: int
) -> None:
    for number, (name, colour) in enumerate(legend):
        line, place = divmod(number, per_line)
        left, middle = MARGIN + place * _LEGEND_WIDTH, top + line * LINE + LINE // 2
        box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2)
        draw.rectangle(box, fill=colour, outline=_QUIET)
        draw.text((left + _SWATCH + 5, top + line * LINE + 2), name, _INK, _font(_TEXT))


def fitted(text: str, most: int) -> str:
    """``text`` without its middle where it has more characters than ``most``."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the figures, which comes with matplotlib."""
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
