"""What a generated world is: its dials, its size and its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from adaptbench.errors import UsageError, unknown_name

#: Raised whenever any pixel of any image changes; part of every fingerprint.
VERSION = 1

#: Official image sizes (width, height), pixels; where there are several, images take turns.
OFFICIAL_SIZES: dict[str, tuple[tuple[int, int], ...]] = {
    "gta5": ((1914, 1052),),
    "synthia": ((1280, 760),),
    "synscapes": ((1440, 720),),
    "cityscapes": ((2048, 1024),),
    "acdc": ((1920, 1080),),
    "dark_zurich": ((1920, 1080),),
    "bdd100k": ((1280, 720),),
    "crosscity": ((2048, 1024),),
    "urbansyn": ((2048, 1024),),
    "idd": ((1920, 1080),),
    "wilddash2": ((1920, 1080),),
    **dict.fromkeys(
        ("mapillary", "mapillary_rein", "mapillary_v2"),
        ((2048, 1536), (1536, 2048), (1920, 1080), (2448, 1836), (1280, 960)),
    ),
}

#: Dials that came later, with the value at which every world is the one it was before.
_LATER = {"pixel_balance": 0.0}


@dataclass(frozen=True)
class WorldSpec:
    """The dials of a world.

    Attributes:
        seed: another seed, another world of the same kind (>= 0).
        gap: distance of a target domain from the source look, 0 (same distribution) to 1 (full gap).
        imbalance: 0 shows every class about equally often, 1 keeps rare classes rare.
        small_objects: 0 shows objects only near and large, 1 has the natural share of distant ones.
        pixel_balance: 0 gives classes the pixels that their objects have, 1 gives object classes about equally many.
        scale: image size relative to the official one, 0.05 to 1.

    Raises:
        UsageError: a dial is outside its range.
    """

    seed: int = 0
    gap: float = 1.0
    imbalance: float = 1.0
    small_objects: float = 1.0
    pixel_balance: float = 0.0
    scale: float = 0.25

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UsageError(f"minicity.seed must be a whole number >= 0, found {self.seed!r}.")
        for dial in ("gap", "imbalance", "small_objects", "pixel_balance"):
            self._settle(dial, 0.0, 1.0)
        self._settle("scale", 0.05, 1.0)

    def dials(self) -> dict[str, Any]:
        """All dials by name; one that came later only where it changes the world, so that identities stay."""
        return {name: value for name, value in asdict(self).items() if _LATER.get(name) != value}

    def _settle(self, dial: str, low: float, high: float) -> None:
        """Checks one dial and stores it as a float, so that 1 and 1.0 are one world."""
        value = getattr(self, dial)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise UsageError(f"minicity.{dial} must be a number from {low:g} to {high:g}, found {value!r}.")
        object.__setattr__(self, dial, float(value))


def specification(spec: WorldSpec, dataset: str, counts: Mapping[str, int]) -> dict[str, object]:
    """Everything the generated files depend on, as plain JSON values."""
    return {"version": VERSION, "dataset": dataset, "counts": dict(counts), "world": spec.dials()}


def fingerprint(spec: WorldSpec, dataset: str, counts: Mapping[str, int]) -> str:
    """Identity of generated data: 12 hex digits of the SHA-256 of its canonical specification."""
    text = json.dumps(specification(spec, dataset, counts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def image_size(dataset: str, scale: float, index: int = 0) -> tuple[int, int]:
    """Size (width, height) in pixels of image ``index``, each length ``int(official * scale + 0.5)``.

    Raises:
        UsageError: MiniCity does not know the dataset.
    """
    if dataset not in OFFICIAL_SIZES:
        raise unknown_name("MiniCity dataset", dataset, OFFICIAL_SIZES)
    sizes = OFFICIAL_SIZES[dataset]
    width, height = sizes[index % len(sizes)]
    return int(width * scale + 0.5), int(height * scale + 0.5)
