"""Pictures of a page: what runs predicted, beside image and ground truth where the data is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data import files
from adaptbench.data.taxonomy import IGNORE, ClassSet, class_set
from adaptbench.errors import AdaptBenchError
from adaptbench.reporting.board import Board
from adaptbench.reporting.figures.disputed import SHOWN, chosen, dispute
from adaptbench.reporting.figures.gallery import strip_rows
from adaptbench.reporting.figures.pictures import StripRow

#: Wider pictures are made smaller. Units: pixels.
WIDTH = 512


@dataclass(frozen=True)
class Picture:
    """An image file of the page; ``src`` is relative to the page's folder."""

    title: str
    src: str
    alt: str


@dataclass(frozen=True)
class Swatch:
    """A class and its colour."""

    name: str
    colour: str


@dataclass(frozen=True)
class Strip:
    """Pictures of one place."""

    name: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Strips:
    """Rows of pictures and the classes in them.

    Attributes:
        rows: one per place.
        legend: the classes that occur.
        reason: why there are none, for the user's eyes: it may name folders of this machine.
    """

    rows: tuple[Strip, ...]
    legend: tuple[Swatch, ...]
    reason: str = ""


def board_strips(board: Board, out: Path, folder: Path, slug: str) -> Strips:
    """Writes image, ground truth and the prediction of every method of ``board`` below ``folder/images``."""
    try:
        classes = class_set(board.view.class_set)
        shown = chosen(strip_rows(board, out))
    except (AdaptBenchError, OSError) as error:
        return Strips((), (), str(error))
    target = folder / "images" / slug
    target.mkdir(parents=True, exist_ok=True)
    rows = [*shown.first, *shown.disputed]
    notes = [""] * len(shown.first) + [
        f" (most disputed: two methods differ on {100 * dispute(row):.0f} % of the pixels)"
        for row in shown.disputed
    ]
    strips = tuple(
        _strip(row, i, classes, target, slug, note)
        for i, (row, note) in enumerate(zip(rows, notes, strict=True))
    )
    present = np.unique(np.concatenate([np.unique(ids) for row in rows for ids in _labels(row)]))
    return Strips(strips, legend(classes, present))


def _labels(row: StripRow) -> list[npt.NDArray[np.uint8]]:
    return [row.truth, *row.predictions.values()]


def _strip(row: StripRow, number: int, classes: ClassSet, target: Path, slug: str, note: str) -> Strip:
    titles = ["ground truth", *row.predictions]
    _save(Image.fromarray(row.image), target / f"{number}-image.jpg", Image.Resampling.LANCZOS)
    pictures = [Picture("image", f"images/{slug}/{number}-image.jpg", f"street scene {row.name}")]
    for i, (title, ids) in enumerate(zip(titles, _labels(row), strict=True)):
        _save(coloured(ids, classes), target / f"{number}-{i}.png", Image.Resampling.NEAREST)
        said = "ground truth" if i == 0 else f"prediction of {title}"
        pictures.append(Picture(title, f"images/{slug}/{number}-{i}.png", f"{said} for {row.name}"))
    return Strip(f"{row.name}{note}", tuple(pictures))


def run_pictures(
    predictions: Path, class_set_name: str, folder: Path, slug: str
) -> tuple[tuple[Picture, ...], tuple[Swatch, ...]]:
    """Writes the predictions that a run kept, in the colours of its classes, with their legend."""
    try:
        classes = class_set(class_set_name)
        paths = sorted(predictions.glob("*.png"))[:SHOWN]
        found = [(path.stem, files.read_index_image(path)) for path in paths]
    except AdaptBenchError:
        return (), ()
    if not found:
        return (), ()
    target = folder / "images" / slug
    target.mkdir(parents=True, exist_ok=True)
    pictures = []
    for i, (name, ids) in enumerate(found):
        _save(coloured(ids, classes), target / f"{i}.png", Image.Resampling.NEAREST)
        pictures.append(Picture(name, f"images/{slug}/{i}.png", f"prediction for {name}"))
    present = np.unique(np.concatenate([np.unique(ids) for _, ids in found]))
    return tuple(pictures), legend(classes, present)


def coloured(ids: npt.NDArray[np.uint8], classes: ClassSet) -> Image.Image:
    """Train ids as a palette picture. Shape: ``(H, W)`` uint8, 255 is black."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(classes)] = classes.palette
    picture = Image.fromarray(ids)
    picture.putpalette(palette.tobytes())
    return picture


def legend(classes: ClassSet, present: Sequence[int] | npt.NDArray[np.uint8]) -> tuple[Swatch, ...]:
    """Names and colours of the ids that occur."""
    known = [int(i) for i in present if int(i) < len(classes)]
    swatches = [Swatch(classes.classes[i], "#{:02x}{:02x}{:02x}".format(*classes.palette[i])) for i in known]
    ignored = [Swatch("ignored", "#000000")] if any(int(i) == IGNORE for i in present) else []
    return tuple(swatches + ignored)


def _save(picture: Image.Image, path: Path, resampling: Image.Resampling) -> None:
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), resampling)
    picture.save(path)
