"""Decoded images kept before the first training asks for them, by several processes at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.plugins import Plugin
from adaptbench.data import image_cache, image_strips
from adaptbench.data.image_cache import ImageCache
from adaptbench.errors import DataError, RunStateError
from adaptbench.inspection.sample_pool import each_sample

#: Images that are decoded to say how large all of them will be.
TRIED = 8


@dataclass(frozen=True)
class Filled:
    """What became of the images of a split.

    Attributes:
        added: images that were not there before.
        size: of their files. Units: bytes.
        damaged: why an image is not there, one text for each.
        notes: what was found damaged in the cache, and is replaced.
        ended: why no more was added before all were; empty where all were.
    """

    images: int
    added: int
    size: int
    damaged: tuple[str, ...]
    notes: tuple[str, ...]
    ended: str


@dataclass(frozen=True)
class _Kept:
    """What became of an image; its fields are those of `Filled`."""

    size: int = 0
    damaged: str = ""
    notes: tuple[str, ...] = ()
    ended: str = ""


def expected_size(dataset: Dataset, samples: Sequence[Sample]) -> int:
    """What the images will take, from a few of them that can be read. Units: bytes."""
    sizes = []
    for sample in samples[:: max(1, len(samples) // TRIED)][:TRIED]:
        with suppress(DataError):  # filling names it
            sizes.append(len(image_strips.encoded(dataset.read_image(sample), "")))
    return sum(sizes) * len(samples) // max(1, len(sizes))


def require_room(place: Path, wanted: int) -> None:
    """Raises RunStateError if so many bytes do not fit on the disk of ``place`` beside what is spared."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free - image_cache.SPARED
    if wanted > free:
        raise RunStateError(
            f"About {_gibibytes(wanted)} of decoded images do not fit in {place}: {_gibibytes(max(0, free))} are free "
            f"beside {_gibibytes(image_cache.SPARED)} that are spared. Free some space, name fewer datasets, or choose "
            "another folder with --image-cache."
        )


def fill(
    plugin: Plugin,
    dataset: Dataset,
    samples: Sequence[Sample],
    place: Path,
    tell: Callable[[int], None],
    workers: int | None = None,
) -> Filled:
    """Keeps the images of all samples in the cache at ``place``, and tells how many are done."""
    kept: list[_Kept] = []
    with closing(each_sample(plugin, dataset.root, samples, partial(_keep, str(place)), workers)) as work:
        for one in work:
            kept.append(one)
            tell(len(kept))
            if one.ended:
                break
    return Filled(
        images=len(samples),
        added=sum(one.size > 0 for one in kept),
        size=sum(one.size for one in kept),
        damaged=tuple(one.damaged for one in kept if one.damaged),
        notes=tuple(note for one in kept for note in one.notes),
        ended=kept[-1].ended if kept else "",
    )


def _keep(place: str, dataset: Dataset, sample: Sample) -> _Kept:
    """Keeps one image; a function of this module, so that workers find it."""
    used = _cache(place)
    _told.clear()
    try:
        size = used.add(dataset, sample)
    except DataError as error:
        return _Kept(damaged=str(error))
    return _Kept(size, notes=tuple(text for text in _told if text != used.ending), ended=used.ending)


#: What the cache of this process said of the image that it is at.
_told: list[str] = []


@cache
def _cache(place: str) -> ImageCache:
    """The cache of this process."""
    return ImageCache(Path(place), _told.append)


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
