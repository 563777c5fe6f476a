"""Writes pictures in the official layout and label encoding: one small function per dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data.taxonomy import label_map

Pixels = npt.NDArray[np.uint8]

#: Official palette of GTA5 label files: RGB of Cityscapes label ids 0..33.
GTA5_PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (111, 74, 0), (81, 0, 81), (128, 64, 128),
    (244, 35, 232), (250, 170, 160), (230, 150, 140), (70, 70, 70), (102, 102, 156), (190, 153, 153),
    (180, 165, 180), (150, 100, 100), (150, 120, 90), (153, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
    (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 0, 90), (0, 0, 110), (0, 80, 100), (0, 0, 230),
    (119, 11, 32),
)  # fmt: skip

#: Cities whose names the generated pictures borrow; every split of Cityscapes has its own.
CITIES: dict[str, tuple[str, ...]] = {
    "train": ("aachen", "bremen", "darmstadt", "hamburg", "strasbourg", "zurich"),
    "val": ("frankfurt", "lindau", "munster"),
}
#: Consecutive pictures that share a city: short enough that small splits still visit several.
_PER_CITY = 8


def _png(path: Path, pixels: Pixels) -> None:
    """Writes one PNG, RGB or single channel, quickly rather than small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    # Encoded in memory: cv2.imwrite reports a full disk only as False, write_bytes says why.
    _, data = cv2.imencode(".png", np.ascontiguousarray(ordered), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    path.write_bytes(data.tobytes())


def _gta5(root: Path, split: str, index: int, picture: Pixels, label: Pixels) -> None:
    """``images/00001.png`` and palette PNG ``labels/00001.png``; numbering starts at 1."""
    folder = root if split == "all" else root / split
    name = f"{index + 1:05d}.png"
    _png(folder / "images" / name, picture)
    palette = Image.fromarray(label).convert("P")
    palette.putpalette([channel for colour in GTA5_PALETTE for channel in colour])
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    palette.save(folder / "labels" / name, compress_level=1)


def _cityscapes(root: Path, split: str, index: int, picture: Pixels, label: Pixels) -> None:
    """``leftImg8bit/<split>/<city>/..`` and ``gtFine/..`` with label ids and train ids."""
    cities = CITIES[split]
    city = cities[index // _PER_CITY % len(cities)]
    stem = f"{city}_{index:06d}_{19:06d}"
    _png(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", picture)
    truth = root / "gtFine" / split / city
    _png(truth / f"{stem}_gtFine_labelIds.png", label)
    _png(truth / f"{stem}_gtFine_labelTrainIds.png", label_map("cityscapes", "cityscapes19")[label])


Writer = Callable[[Path, str, int, Pixels, Pixels], None]

#: dataset -> writer(root, split, index, picture, label ids).
WRITERS: dict[str, Writer] = {"gta5": _gta5, "cityscapes": _cityscapes}
#: dataset -> splits that its layout has a place for. GTA5's ``heldout`` exists in generated worlds only.
SPLITS: dict[str, tuple[str, ...]] = {"gta5": ("all", "heldout"), "cityscapes": ("train", "val")}
