"""What decides how an image comes out decoded: its file, and what reads it. Nothing else may be taken for it."""

from __future__ import annotations

import functools
import inspect
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt
import xxhash

from adaptbench.data import archives, files
from adaptbench.data.sample import Sample
from adaptbench.storage.plain_files import require_plain

#: A file's content is told by its beginning and its end, so many bytes of each: an encoder writes what follows
#: from all pixels to the end.
_TOLD_BY = 1 << 16
#: The longest name of a folder. Units: bytes.
_LONGEST_NAME = 200


class Decoder(Protocol):
    """What gives the images of a dataset (`adaptbench.contracts.dataset.Dataset`)."""

    @property
    def name(self) -> str:
        """The dataset's name."""

    @property
    def root(self) -> Path:
        """The folder that it lies in."""

    @property
    def definition(self) -> str:
        """What beside files and code decides what is read."""

    def read_image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The image. Shape: ``(H, W, 3)`` RGB uint8."""


@dataclass(frozen=True)
class ImageIdentity:
    """What a decoded image is known by.

    Attributes:
        file: name of the image in its dataset, size, time and content of its file.
        maker: definition and code of the dataset, version and machine of the decoder.
    """

    file: str
    maker: str

    @property
    def name(self) -> str:
        """A file's name that stands for the image's file."""
        return xxhash.xxh3_128_hexdigest(self.file.encode())

    def __str__(self) -> str:
        return f"{self.file}\n{self.maker}"


def identity_of(dataset: Decoder, sample: Sample) -> ImageIdentity:
    """What the image of a sample is known by now; opens its file, as far as it is none in an archive.

    Raises:
        OSError: the file is missing or cannot be read, or it cannot be said what code reads it.
    """
    file = f"{dataset.name}: {_below(dataset, sample.image)}: {_facts(sample.image)}"
    return ImageIdentity(file, _maker(type(dataset), dataset.definition))


def folder_of(dataset: Decoder, sample: Sample) -> Path:
    """Relative folder of all images that lie in the folder of a sample's image, and of no others."""
    name = quote(os.path.dirname(_below(dataset, sample.image)) or ".", safe=" ")  # noqa: PTH120
    if len(name) > _LONGEST_NAME or name in (".", ".."):
        name = xxhash.xxh3_128_hexdigest(name.encode())
    return Path(dataset.name) / name


def _below(dataset: Decoder, image: Path) -> str:
    """Path of an image relative to its dataset, which can be copied elsewhere."""
    return os.path.relpath(image, dataset.root)


def _facts(image: Path) -> str:
    """What tells the file of an image from all others."""
    inside = archives.split(image)
    if inside is not None:
        return archives.archive(inside[0]).identity(inside[1])
    require_plain(image)
    with image.open("rb") as file:
        facts = os.fstat(file.fileno())
        ends = file.read(_TOLD_BY)
        if facts.st_size > _TOLD_BY:
            file.seek(max(_TOLD_BY, facts.st_size - _TOLD_BY))
            ends += file.read(_TOLD_BY)
    return f"{facts.st_size} bytes, {facts.st_mtime_ns} ns, ends {xxhash.xxh3_128_hexdigest(ends)}"


@functools.cache
def _maker(dataset: type[Decoder], definition: str) -> str:
    """What beside the file decides on the pixels: another version of a JPEG's decoder rounds otherwise."""
    code = xxhash.xxh3_128()
    for source in (inspect.getsourcefile(dataset.read_image), files.__file__):
        if source is None:
            raise FileNotFoundError(f"the code of {dataset.__name__}.read_image")
        code.update(Path(source).read_bytes())
    code.update(definition.encode())
    return f"code {code.hexdigest()}, OpenCV {cv2.__version__}, {platform.machine()}"
