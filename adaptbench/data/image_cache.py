"""Decoded images kept in a folder, so that each is decoded once and not in every epoch and job.

A training gets the same pixels as without. What cannot be read from the folder, or cannot be written to it, is decoded
as ever; the log says why.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptbench.data import firewall, image_strips
from adaptbench.data.image_identity import Decoder, ImageIdentity, folder_of, identity_of
from adaptbench.data.image_strips import DamagedStripsError
from adaptbench.data.sample import Reader, Sample
from adaptbench.errors import RunStateError, UsageError
from adaptbench.storage.atomic import write_bytes

UInt8 = npt.NDArray[np.uint8]

#: The folder of all images in the folder that a user names, beside which anything may lie.
FOLDER = "adaptbench-images"
#: So much of a disk is left to others. Units: bytes.
SPARED = 1 << 30
_SUFFIX = ".strips"
_FLAG = "--image-cache"


class ImageCache:
    """The images of a folder, which any number of processes use at once.

    Args:
        place: the folder that the user names.
        tell: takes a line of the log; a function of a module, as workers have it, too.
    """

    def __init__(self, place: Path, tell: Callable[[str], None]) -> None:
        self.place = place
        self._tell = tell
        # Of all processes that are started from this one. Read without their locks, which one that was killed may hold.
        self._found = multiprocessing.Value("Q")
        self._added = multiprocessing.Value("Q")
        self._closed = multiprocessing.Value("b")
        self._damaged: set[Path] = set()
        #: Why this process adds no more images; empty while it does.
        self.ending = ""

    def __str__(self) -> str:
        found, added = self._found.get_obj().value, self._added.get_obj().value
        return f"image cache {self.place}: {found:,} images read from it, {added:,} decoded and added"

    @property
    def folder(self) -> Path:
        """The folder of all images."""
        return self.place / FOLDER

    @property
    def adding(self) -> bool:
        """Whether images are added; no longer once the folder could not be written to."""
        return not self._closed.get_obj().value

    def folder_of(self, dataset: Decoder, sample: Sample) -> Path:
        """Where the image of a sample is kept, with those that lie beside it in its dataset."""
        return self.folder / folder_of(dataset, sample)

    def read(self, dataset: Decoder, sample: Sample) -> UInt8:
        """The image of a sample, kept or decoded. Shape: ``(H, W, 3)`` RGB uint8.

        Raises:
            DataError: the file of the image is missing, damaged or no image.
        """
        identity = _known(dataset, sample)
        if identity is None:
            return dataset.read_image(sample)
        image = self._taken(dataset, sample, identity)
        if image is None:
            image = dataset.read_image(sample)
            self._keep(dataset, sample, identity, image)
            return image
        with self._found.get_lock():
            self._found.value += 1
        return image

    def add(self, dataset: Decoder, sample: Sample) -> int:
        """Keeps the image of a sample, if it is not there whole already.

        Returns:
            What was added. Units: bytes.

        Raises:
            DataError: the file of the image is missing, damaged or no image.
        """
        identity = _known(dataset, sample)
        if identity is not None and self._taken(dataset, sample, identity) is not None:
            return 0
        image = dataset.read_image(sample)
        return 0 if identity is None else self._keep(dataset, sample, identity, image)

    def _path(self, dataset: Decoder, sample: Sample, identity: ImageIdentity) -> Path:
        return self.folder_of(dataset, sample) / f"{identity.name}{_SUFFIX}"

    def _taken(self, dataset: Decoder, sample: Sample, identity: ImageIdentity) -> UInt8 | None:
        """A kept image; None where there is none of this identity, or a damaged one."""
        path = self._path(dataset, sample, identity)
        try:
            with image_strips.opened(path) as strips:
                return strips.read() if strips.identity == str(identity) else None
        except FileNotFoundError:
            return None
        except (DamagedStripsError, OSError) as error:
            if path not in self._damaged:
                self._damaged.add(path)
                self._tell(f"image cache: {path} is not used, and {sample.image} is decoded: {error}")
            return None

    def _keep(self, dataset: Decoder, sample: Sample, identity: ImageIdentity, image: UInt8) -> int:
        """Writes an image unless its file was changed while it was decoded. Returns what was written, in bytes."""
        if not self.adding or _known(dataset, sample) != identity:
            return 0
        content = image_strips.encoded(image, str(identity))
        path = self._path(dataset, sample, identity)
        try:
            if (free := _free(path)) < SPARED + len(content):
                self._close(
                    f"{free / 2**20:,.0f} MiB are free on its disk, and {SPARED / 2**20:,.0f} are spared"
                )
                return 0
            write_bytes(path, content, _FLAG)
        except (RunStateError, OSError) as error:
            self._close(str(error).rstrip("."))
            return 0
        with self._added.get_lock():
            self._added.value += 1
        return len(content)

    def _close(self, why: str) -> None:
        with self._closed.get_lock():
            first, self._closed.value = not self._closed.value, True
        self.ending = (
            f"image cache {self.place}: {why}. Nothing more is added; what it lacks is decoded from files."
        )
        if first:
            self._tell(self.ending)


@dataclass(frozen=True)
class CachedImages:
    """A dataset whose images come from a cache, with its own labels, or others.

    Attributes:
        labels: gives the labels.
        images: gives the images that the cache lacks.
    """

    labels: Reader
    images: Decoder
    cache: ImageCache

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.labels.name

    def folder_of(self, sample: Sample) -> Path:
        """Where the image of a sample is kept, with those that lie beside it in its dataset."""
        return self.cache.folder_of(self.images, sample)

    def read_image(self, sample: Sample) -> UInt8:
        """The image. Shape: ``(H, W, 3)`` RGB uint8."""
        return self.cache.read(self.images, sample)

    def read_label(self, sample: Sample) -> UInt8:
        """Raw label ids, always from the file. Shape: ``(H, W)`` uint8."""
        return self.labels.read_label(sample)


def require_usable(place: Path) -> None:
    """Raises UsageError for a place in which trainings can keep no images."""
    if place.exists() and not place.is_dir():
        raise UsageError(f"{_FLAG} {place} is no folder. Choose one, which may be new.")
    if place.resolve().is_relative_to(firewall.SHARED_MEMORY):
        raise UsageError(
            f"{_FLAG} {place}: trainings share memory below {firewall.SHARED_MEMORY}, so that the kernel cannot close "
            "anything there to them. Choose a folder elsewhere; it may be a disk in memory (tmpfs)."
        )


def _known(dataset: Decoder, sample: Sample) -> ImageIdentity | None:
    """What an image is known by; None for a file that cannot be read, of which its decoder says why."""
    try:
        return identity_of(dataset, sample)
    except OSError:
        return None


def _free(path: Path) -> int:
    """Bytes free on the disk that a file is to lie on."""
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    return shutil.disk_usage(there).free
