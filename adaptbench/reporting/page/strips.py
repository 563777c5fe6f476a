"""Images of a page: what runs predicted, beside image and ground truth where the data is at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data import files
from adaptbench.data.taxonomy import ClassSet, class_set
from adaptbench.errors import AdaptBenchError
from adaptbench.reporting.board import Board
from adaptbench.reporting.figures.gallery import strip_rows
from adaptbench.reporting.figures.strips import SHOWN, StripRow, chosen, dispute

Ids = npt.NDArray[np.uint8]
#: Wider images are made smaller. Units: pixels.
WIDTH = 512


class PageImage(NamedTuple):
    """An image file of the page; ``src`` is relative to the page's folder."""

    title: str
    src: str
    alt: str


#: Names of classes and their colours.
Swatches = list[tuple[str, str]]


class Strips(NamedTuple):
    """Rows of images and the classes in them.

    Attributes:
        rows: what a place is called, and its images.
        reason: why there are none, for the user's eyes: it may name folders of this machine.
    """

    rows: list[tuple[str, list[PageImage]]]
    legend: Swatches
    reason: str = ""


def board_strips(board: Board, out: Path, folder: Path, slug: str) -> Strips:
    """Writes image, ground truth and the prediction of every method of ``board`` below ``folder/images``."""
    try:
        classes = class_set(board.view.class_set)
        first, disputed = chosen(strip_rows(board, out))
    except (AdaptBenchError, OSError) as error:
        return Strips([], [], str(error))
    said = " (most disputed: two methods differ on {:.0f} % of the pixels)".format
    named = [(row.name, row) for row in first]
    named += [(row.name + said(100 * dispute(row)), row) for row in disputed]
    (folder / "images" / slug).mkdir(parents=True, exist_ok=True)
    strips = [
        (name, _strip(row, f"images/{slug}/{i}", classes, folder)) for i, (name, row) in enumerate(named)
    ]
    return Strips(strips, legend(classes, [ids for _, row in named for ids in row.maps]))


def _strip(row: StripRow, src: str, classes: ClassSet, folder: Path) -> list[PageImage]:
    _save(Image.fromarray(row.image), folder / f"{src}-image.jpg", Image.Resampling.LANCZOS)
    images = [PageImage("image", f"{src}-image.jpg", f"street scene {row.name}")]
    for i, (title, ids) in enumerate(zip(["ground truth", *row.predictions], row.maps, strict=True)):
        said = "ground truth" if i == 0 else f"prediction of {title}"
        images.append(_labels(title, ids, f"{src}-{i}.png", f"{said} for {row.name}", classes, folder))
    return images


def run_images(
    predictions: Path, class_set_name: str, folder: Path, slug: str, say: Callable[[str], None]
) -> tuple[list[PageImage], Swatches]:
    """Writes the predictions that a run kept, in the colours of its classes, with their legend.

    There are none of a run with a damaged one, which ``say`` is told.
    """
    try:
        classes = class_set(class_set_name)
        paths = sorted(predictions.glob("*.png"))[:SHOWN]
        found = [(path.stem, files.read_index_image(path)) for path in paths]
    except AdaptBenchError as error:
        say(f"no predictions of a run on the page. {error}")
        return [], []
    (folder / "images" / slug).mkdir(parents=True, exist_ok=True)
    images = [
        _labels(name, ids, f"images/{slug}/{i}.png", f"prediction for {name}", classes, folder)
        for i, (name, ids) in enumerate(found)
    ]
    return images, legend(classes, [ids for _, ids in found])


def _labels(title: str, ids: Ids, src: str, alt: str, classes: ClassSet, folder: Path) -> PageImage:
    """Writes train ids as a palette image."""
    image = Image.fromarray(ids)
    image.putpalette(classes.colours.tobytes())
    _save(image, folder / src, Image.Resampling.NEAREST)
    return PageImage(title, src, alt)


def legend(classes: ClassSet, maps: Iterable[Ids]) -> Swatches:
    """The classes that occur."""
    present = {int(i) for ids in maps for i in np.unique(ids)}
    return [(name, "#{:02x}{:02x}{:02x}".format(*colour)) for name, colour in classes.legend(present)]


def _save(image: Image.Image, path: Path, resampling: Image.Resampling) -> None:
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), resampling)
    image.save(path)
