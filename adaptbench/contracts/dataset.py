"""The dataset contract: what a file in datasets/ declares."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from adaptbench.data import files
from adaptbench.data.archives import Archive, archive
from adaptbench.data.label_ids import histogram, likely_space, listed, unknown_ids
from adaptbench.data.layout import cause_of_no_image
from adaptbench.data.sample import Sample
from adaptbench.data.taxonomy import known_ids
from adaptbench.errors import DataError, unknown_name

__all__ = ["Dataset", "Sample", "Split"]


@dataclass(frozen=True)
class Split:
    """What is known about a split.

    Attributes:
        count: number of images in the official release; None where there is none.
        labelled: whether labels are public.
        note: what a reader should know.
    """

    count: int | None
    labelled: bool = True
    note: str = ""


class Dataset(ABC):
    """A dataset in its official layout under ``root``. Nothing is converted and nothing written there.

    A plug-in sets the class attributes below as literals (they are read without importing the file)
    and implements `samples`. `decode_label` is overridden only where labels are not 8-bit index images.

    Raises:
        DataError: ``root`` is not a folder.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    #: Id space of the label files, a key of `adaptbench.data.taxonomy`. Read it from the instance: it may
    #: depend on which of a dataset's label files a root holds.
    id_space: str
    #: Folder names looked for under the data root, first match wins.
    folders: ClassVar[tuple[str, ...]]
    #: Official image size, (width, height) in pixels.
    image_size: ClassVar[tuple[int, int]]
    #: Size the self-training papers resize to before cropping, (width, height) in pixels.
    training_size: ClassVar[tuple[int, int]]
    splits: ClassVar[Mapping[str, Split]]
    #: Folders (relative to the root) that hold labels: sealed off from training processes.
    label_folders: ClassVar[tuple[str, ...]]
    #: Zip archives of the official download, as names or patterns in the root, that are read where they are not
    #: unpacked. Folders in them are those of the unpacked tree.
    archives: ClassVar[tuple[str, ...]] = ()
    #: Other sizes that official images have, (width, height) in pixels; None = any.
    other_sizes: ClassVar[tuple[tuple[int, int], ...] | None] = ()
    #: Where it lies unless the user says otherwise.
    default_root: ClassVar[Path | None] = None
    #: What beside its files decides what is read; part of the data's version.
    definition: ClassVar[str] = ""
    #: Folders that are taken for the dataset but are not: path -> what lies there.
    lookalikes: ClassVar[Mapping[str, str]] = {}
    #: Samples of the official release that are known to be unusable: name -> what is wrong with it.
    broken: ClassVar[Mapping[str, str]] = {}

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{self.name}: {root} is not a folder. {self.where_to_get()}")
        self.root = root

    @abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, sorted by image path. Opens no label file.

        Raises:
            UsageError: no such split.
            DataError: the folder of the split is missing or holds no image.
        """

    def usable(self, split: str) -> list[Sample]:
        """The samples of ``split`` without those listed in `broken`."""
        return [sample for sample in self.samples(split) if sample.name not in self.broken]

    def read_image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The image. Shape: ``(H, W, 3)`` RGB uint8.

        Raises:
            DataError: the file is missing, damaged or no image.
        """
        return files.read_image(sample.image)

    def read_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Raw label ids, all of which the dataset's id space has. Shape: ``(H, W)`` uint8.

        Raises:
            DataError: the file is missing, damaged, in another encoding, or holds an id that is not known, which
                would count as nothing and change scores; names the ids and where they are likely to come from.
        """
        label = self.decode_label(sample)
        if unknown := unknown_ids(label, self.known_ids):
            raise DataError(self.unknown_ids_in(sample, unknown))
        return label

    @property
    def known_ids(self) -> frozenset[int]:
        """Every id that labels may hold, ignored ones included."""
        return known_ids(self.id_space)

    def decode_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """What the file holds, known or not. Shape: ``(H, W)`` uint8.

        Raises:
            DataError: the file is missing, damaged or not an index image.
        """
        return files.read_index_image(sample.label)

    def unknown_ids_in(self, sample: Sample, unknown: Mapping[int, int]) -> str:
        """What a user should know about ids (with their pixels) of a label file that `id_space` does not have."""
        space = likely_space(histogram(self.decode_label(sample)), self.id_space)
        cause = f"They look like {space}" if space else "It may be of another dataset, or made by a converter"
        return (
            f"Label file {sample.label} of {self.name} holds ids that {self.id_space} does not have: "
            f"{listed(unknown)}. {cause}. Put the dataset's official label files there; own numberings are listed "
            "in the YAML file of a dataset."
        )

    @classmethod
    def cluster(cls, name: str) -> str:
        """What the image called ``name`` belongs to: its city, drive or video; by default it stands alone.

        Images of one cluster look alike, so statistics resample them together.
        """
        return name

    @classmethod
    def where_to_get(cls) -> str:
        """One sentence for error messages: where the data comes from and how to point to it."""
        return (
            f"Get it from {cls.homepage} and pass --data-root (its parent) or --data-path {cls.name}=FOLDER."
        )

    @property
    def label_places(self) -> list[Path]:
        """The label folders, unpacked and in every archive: sealed off from training processes."""
        containers = [self.root, *(packed.path for packed in self._archives)]
        return [container / folder for container in containers for folder in self.label_folders]

    @cached_property
    def _archives(self) -> list[Archive]:
        """The archives that the root holds."""
        found = {path for pattern in self.archives for path in self.root.glob(pattern)}
        return [archive(path) for path in sorted(found) if not path.name.startswith(".")]

    def _split(self, split: str) -> Split:
        if split not in self.splits:
            raise unknown_name(f"split of {self.name}", split, self.splits)
        return self.splits[split]

    def _images(self, folder: str, pattern: str) -> list[Path]:
        """Images below ``folder`` that match ``pattern``, sorted; an empty result is an error.

        Hidden files are left out: archives made on macOS hold a ``._name.png`` beside each image.
        """
        paths = (path for path in self._glob(folder, pattern) if not path.name.startswith("."))
        found = sorted(paths, key=Path.as_posix)
        _require_utf8(found)
        if not found:
            other = next(
                (text for place, text in self.lookalikes.items() if (self.root / place).is_dir()), ""
            )
            cause = other or cause_of_no_image(self.root, folder, pattern)
            raise DataError(
                f"{self.name}: no image matches {folder}/{pattern} under {self.root}. {cause} "
                f"Expected the official layout. {self.where_to_get()}"
            )
        return found

    def _glob(self, folder: str, pattern: str) -> list[Path]:
        """What matches on disk, else what matches in the archives; in any order."""
        try:
            _require_open(self.root / folder, pattern)
            unpacked = list((self.root / folder).glob(pattern))
        except OSError as error:  # names that are too long, a disk that fails
            problem = f"cannot look for {folder}/{pattern} under {self.root}: {error.strerror or error}"
            raise DataError(f"{self.name}: {problem}. Check the folder and the pattern.") from error
        return unpacked or [path for packed in self._archives for path in packed.glob(folder, pattern)]

    def _place(self, path: str) -> Path:
        """Where a file of the official tree belongs: in an archive if that holds it and it is not unpacked."""
        unpacked = self.root / path
        if not self._archives or (self.root / PurePosixPath(path).parts[0]).is_dir():
            return unpacked
        holding = (packed.path / path for packed in self._archives if path in packed.files)
        return next(holding, unpacked)

    def _first_folder(self, *folders: str) -> str:
        """The first of ``folders`` that exists, on disk or in an archive; else the first."""
        for folder in folders:
            if (self.root / folder).is_dir() or any(packed.holds_folder(folder) for packed in self._archives):
                return folder
        return folders[0]


def _require_open(folder: Path, pattern: str) -> None:
    """Raises DataError for a folder that ``pattern`` leads through and that cannot be listed: its images would lack."""
    parts = PurePosixPath(pattern).parts
    levels = (folder.glob("/".join(parts[:depth])) if depth else [folder] for depth in range(len(parts)))
    for place in chain.from_iterable(levels):
        if place.is_dir() and not os.access(place, os.R_OK | os.X_OK):
            raise DataError(
                f"The folder {place} cannot be listed: permission denied. Give yourself leave to read it."
            )


def _require_utf8(paths: Iterable[Path]) -> None:
    """Raises DataError for the first name that no file of results could hold."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"The name of {str(path)!a} is no UTF-8. Rename the file and its label."
            ) from error
