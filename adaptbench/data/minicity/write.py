"""Writes images in the official layout and label encoding: one small function per dataset.

Names are made up in the official pattern. A split without public labels gets none here either.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptbench.data import id_tables
from adaptbench.data.minicity.domains import CONDITIONS
from adaptbench.data.minicity.polygons import regions
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE, label_map

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

#: Cityscapes label id -> class of SYNTHIA; everything else is void.
SYNTHIA_ID: dict[int, int] = {
    7: 3, 8: 4, 11: 2, 12: 21, 13: 5, 17: 7, 19: 15, 20: 9, 21: 6, 22: 16, 23: 1, 24: 10, 25: 17, 26: 8, 27: 18,
    28: 19, 31: 20, 32: 12, 33: 11,
}  # fmt: skip
#: Cityscapes label id -> class of Mapillary Vistas 1.2; everything else is unlabeled (65).
MAPILLARY_ID: dict[int, int] = {
    1: 64, 4: 51, 7: 13, 8: 15, 10: 12, 11: 17, 12: 6, 13: 3, 17: 45, 19: 48, 20: 50, 21: 30, 22: 29, 23: 27, 24: 19,
    25: 20, 26: 55, 27: 61, 28: 54, 31: 58, 32: 57, 33: 52,
}  # fmt: skip
#: The same for version 2.0; everything else is unlabeled (123).
MAPILLARY_V2_ID: dict[int, int] = {
    1: 120, 4: 104, 7: 21, 8: 24, 10: 20, 11: 27, 12: 12, 13: 5, 17: 85, 19: 90, 20: 100, 21: 64, 22: 63, 23: 61,
    24: 30, 25: 32, 26: 108, 27: 114, 28: 107, 31: 111, 32: 110, 33: 105,
}  # fmt: skip
#: Cityscapes label id -> label of IDD; everything else is unlabeled.
IDD_LABEL: dict[int, str] = {
    1: "ego vehicle", 4: "obs-str-bar-fallback", 10: "rail track",
    **{raw: CITYSCAPES19.classes[train] for raw, train in id_tables.CITYSCAPES.items()},
    22: "non-drivable fallback",
}  # fmt: skip

#: Cities whose names the generated images borrow; every split of Cityscapes has its own.
CITIES: dict[str, tuple[str, ...]] = {
    "train": ("aachen", "bremen", "darmstadt", "hamburg", "strasbourg", "zurich"),
    "val": ("frankfurt", "lindau", "munster"),
}
#: Consecutive images that share a city: short enough that small splits still visit several.
_PER_CITY = 8


def _encoded(path: Path, image: npt.NDArray[np.uint8 | np.uint16], *parameters: int) -> None:
    # Encoded in memory: cv2.imwrite reports a full disk only as False, write_bytes says why.
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = image[..., ::-1] if image.ndim == 3 else image
    _, data = cv2.imencode(path.suffix, np.ascontiguousarray(ordered), parameters)
    path.write_bytes(data.tobytes())


def _png(path: Path, pixels: npt.NDArray[np.uint8 | np.uint16]) -> None:
    """Writes one PNG, RGB or single channel, quickly rather than small."""
    _encoded(path, pixels, cv2.IMWRITE_PNG_COMPRESSION, 1)


def _jpg(path: Path, image: Pixels) -> None:
    """Writes one JPEG, compressed as phones do."""
    _encoded(path, image, cv2.IMWRITE_JPEG_QUALITY, 88)


def _palette(path: Path, ids: Pixels, colours: Iterable[tuple[int, int, int]]) -> None:
    """Writes one palette PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids).convert("P")
    image.putpalette([channel for colour in colours for channel in colour])
    image.save(path, compress_level=1)


def _train_ids(path: Path, label: Pixels) -> None:
    _png(path, label_map("cityscapes", "cityscapes19")[label])


def _recoded(label: Pixels, ids: Mapping[int, int], otherwise: int) -> Pixels:
    """Cityscapes label ids in another numbering."""
    table = np.full(256, otherwise, np.uint8)
    table[list(ids)] = list(ids.values())
    return table[label]


def _gta5(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``images/00001.png`` and palette PNG ``labels/00001.png``; numbering starts at 1."""
    folder = root if split == "all" else root / split
    name = f"{index + 1:05d}.png"
    _png(folder / "images" / name, image)
    _palette(folder / "labels" / name, label, GTA5_PALETTE)


def _cityscapes(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``leftImg8bit/<split>/<city>/..`` and ``gtFine/..`` with label ids and train ids."""
    cities = CITIES[split]
    city = cities[index // _PER_CITY % len(cities)]
    stem = f"{city}_{index:06d}_{19:06d}"
    _png(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", image)
    truth = root / "gtFine" / split / city
    _png(truth / f"{stem}_gtFine_labelIds.png", label)
    _train_ids(truth / f"{stem}_gtFine_labelTrainIds.png", label)


def _synthia(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``RAND_CITYSCAPES/RGB/0000000.png`` and a label of 16 bits per channel, class in red."""
    name = f"{index:07d}.png"
    _png(root / "RAND_CITYSCAPES" / "RGB" / name, image)
    wide = np.zeros((*label.shape, 3), np.uint16)
    wide[..., 0] = _recoded(label, SYNTHIA_ID, 0)
    _png(root / "RAND_CITYSCAPES" / "GT" / "LABELS" / name, wide)


def _synscapes(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``img/rgb/1.png`` and ``img/class/1.png``; numbering starts at 1 and is not padded."""
    _png(root / "img" / "rgb" / f"{index + 1}.png", image)
    _png(root / "img" / "class" / f"{index + 1}.png", label)


def _acdc(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``rgb_anon/<condition>/<split>/<sequence>/..`` and ``gt/..`` with train ids and label ids."""
    condition = CONDITIONS[index % len(CONDITIONS)]
    sequence = f"GOPR{SPLITS['acdc'].index(split)}{index // 40:03d}"
    place, stem = Path(condition, split, sequence), f"{sequence}_frame_{index:06d}"
    _png(root / "rgb_anon" / place / f"{stem}_rgb_anon.png", image)
    _train_ids(root / "gt" / place / f"{stem}_gt_labelTrainIds.png", label)
    _png(root / "gt" / place / f"{stem}_gt_labelIds.png", label)


def _dark_zurich(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``rgb_anon/train/<time>/<sequence>/..``; only val has labels, ``gt/val/night/GOPR0356/..``."""
    part, _, time = split.partition("_")
    sequence = "GOPR0356" if part == "val" else f"GOPR0{345 + index // 40:03d}"
    place, stem = Path(part, time or "night", sequence), f"{sequence}_frame_{index:06d}"
    _png(root / "rgb_anon" / place / f"{stem}_rgb_anon.png", image)
    if part == "val":
        _train_ids(root / "gt" / place / f"{stem}_gt_labelTrainIds.png", label)


def _bdd100k(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``images/10k/<split>/<8 hex>-<8 hex>.jpg`` and train ids in ``labels/sem_seg/masks/<split>/``."""
    name = f"{index:08x}-{zlib.crc32(f'{split}/{index}'.encode()):08x}"
    _jpg(root / "images" / "10k" / split / f"{name}.jpg", image)
    _train_ids(root / "labels" / "sem_seg" / "masks" / split / f"{name}.png", label)


def _mapillary(version: str, ids: Mapping[int, int], void: int) -> Writer:
    """``<split>/images/<22 characters>.jpg`` and palette PNGs in ``<split>/<version>/labels/``."""
    of_class = {raw: GTA5_PALETTE[label_id] for label_id, raw in ids.items()}
    colours = [of_class.get(raw, (0, 0, 0)) for raw in range(256)]

    def write(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
        digest = hashlib.sha256(f"{split}/{index}".encode()).digest()[:16]
        name = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        _jpg(root / split / "images" / f"{name}.jpg", image)
        _palette(root / split / version / "labels" / f"{name}.png", _recoded(label, ids, void), colours)

    return write


def _crosscity(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``<City>/Images/<Train|Test>/pano_..jpg``; test has labels of 13 classes, ``<City>/Labels/Test/.._eval.png``."""
    city, part = (word.capitalize() for word in split.split("_"))
    stem = f"pano_{index:05d}_{index % 4}_{90 * (index % 4)}"
    _jpg(root / city / "Images" / part / f"{stem}.jpg", image)
    if part == "Test":
        annotated = label_map("cityscapes", "cityscapes13")[label] != IGNORE
        ids = np.where(annotated, label, 0).astype(np.uint8)
        _png(root / city / "Labels" / part / f"{stem}_eval.png", ids)


def _urbansyn(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``rgb/rgb_0001.png`` and ``ss/ss_0001.png``: train ids in three channels, void is 19; numbering starts at 1."""
    number = f"{index + 1:04d}"
    _png(root / "rgb" / f"rgb_{number}.png", image)
    ids = label_map("cityscapes", "cityscapes19")[label]
    _png(root / "ss" / f"ss_{number}.png", np.repeat(np.minimum(ids, 19)[..., None], 3, axis=2))


def _idd(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``leftImg8bit/<split>/<drive>/<frame>_leftImg8bit.png`` and polygons in ``gtFine/..``."""
    drive, frame = str(SPLITS["idd"].index(split) * 100 + index // 8), f"{index:06d}"
    _png(root / "leftImg8bit" / split / drive / f"{frame}_leftImg8bit.png", image)
    objects = [
        {"label": IDD_LABEL.get(region.id, "unlabeled"), "polygon": region.outline, "deleted": 0}
        for region in regions(label)
    ]
    drawing = {"imgHeight": label.shape[0], "imgWidth": label.shape[1], "objects": objects}
    path = root / "gtFine" / split / drive / f"{frame}_gtFine_polygons.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(drawing, separators=(",", ":")), encoding="utf-8")


def _wilddash2(root: Path, split: str, index: int, image: Pixels, label: Pixels) -> None:
    """``images/<country><number>_100000.jpg`` and ids in ``labels/``, of which the first 34 are those of Cityscapes."""
    name = f"xy{index:04d}_100000"
    _jpg(root / "images" / f"{name}.jpg", image)
    _png(root / "labels" / f"{name}.png", label)


Writer = Callable[[Path, str, int, Pixels, Pixels], None]

_VISTAS = _mapillary("v1.2", MAPILLARY_ID, 65)
#: dataset -> writer(root, split, index, image, label ids).
WRITERS: dict[str, Writer] = {
    "gta5": _gta5,
    "cityscapes": _cityscapes,
    "synthia": _synthia,
    "synscapes": _synscapes,
    "acdc": _acdc,
    "dark_zurich": _dark_zurich,
    "bdd100k": _bdd100k,
    "mapillary": _VISTAS,
    "mapillary_rein": _VISTAS,
    "mapillary_v2": _mapillary("v2.0", MAPILLARY_V2_ID, 123),
    "crosscity": _crosscity,
    "urbansyn": _urbansyn,
    "idd": _idd,
    "wilddash2": _wilddash2,
}
#: dataset -> splits that its layout has a place for. GTA5's ``heldout`` exists in generated worlds only.
SPLITS: dict[str, tuple[str, ...]] = {
    "gta5": ("all", "heldout"),
    "cityscapes": ("train", "val"),
    "synthia": ("all",),
    "synscapes": ("all",),
    "acdc": ("train", "val"),
    "dark_zurich": ("train_day", "train_twilight", "train_night", "val"),
    "bdd100k": ("train", "val"),
    "mapillary": ("training", "validation"),
    "mapillary_rein": ("training", "validation"),
    "mapillary_v2": ("training", "validation"),
    "crosscity": tuple(
        f"{city}_{part}" for city in ("rio", "rome", "taipei", "tokyo") for part in ("train", "test")
    ),
    "urbansyn": ("all",),
    "idd": ("train", "val"),
    "wilddash2": ("public",),
}
