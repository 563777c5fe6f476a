"""Files of confusion matrices, one matrix per image.

Every score is a function of these counts, so records keep them per image: statistics can resample
images, and another class view needs no second inference.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from adaptbench.errors import DataError, RunStateError
from adaptbench.records.record import Record, folder_of
from adaptbench.storage.atomic import replacing
from adaptbench.storage.plain_files import require_plain

Matrix = npt.NDArray[np.int64]

#: What numpy raises for a file that is no archive of plain arrays.
_UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, BadZipFile, zlib.error),
    *(MemoryError, NotImplementedError, RuntimeError, RecursionError),
)
#: More than the matrices of any split have. Units: bytes, unpacked.
_LARGEST = 1 << 30
#: Name of the sha256 of the other arrays in a file; files of older versions have none.
_DIGEST = "digest"
_ROUND = re.compile(r" \(round \d+\)$")


def in_round(image: str, number: int) -> str:
    """Name of an image of a stream in round ``number``, counted from 1."""
    return f"{image} (round {number})"


def without_round(name: str) -> str:
    """The image that `in_round` names."""
    return _ROUND.sub("", name)


def row_names(matrix: npt.NDArray[np.integer], classes: Sequence[str]) -> tuple[str, ...]:
    """Names of the rows and columns of a matrix: the classes, and void where it has one more."""
    return (*classes, "void") if len(matrix) == len(classes) + 1 else tuple(classes)


def matrices_path(out: Path, record: Record, split: str) -> Path:
    """Where the matrices of ``record`` on ``split`` (``dataset/split``) lie."""
    return matrices_file(folder_of(record, out), split)


def matrices_file(job: Path, split: str) -> Path:
    """The same in the folder of a job."""
    return job / "confusion" / f"{split.replace('/', '-', 1)}.npz"


@dataclass(frozen=True)
class PerImageConfusion:
    """The confusion matrices of a split, one per image.

    Attributes:
        names: the samples' names, in the order of the matrices.
        matrices: Shape: ``(N, C, C)`` uint32; rows are the truth, columns the prediction. Void, where it counts or may
            be predicted, is one more row and column behind the classes.
        tags: facts about every sample, for example ``{"condition": "fog"}``; empty where none were kept.
        void: what was predicted where the truth is void, for matrices that do not count it. Shape: ``(N, C)`` uint32;
            None where the matrices have it, or it was not kept.
    """

    names: tuple[str, ...]
    matrices: npt.NDArray[np.uint32]
    tags: tuple[Mapping[str, str], ...] = ()
    void: npt.NDArray[np.uint32] | None = None

    def __post_init__(self) -> None:
        shape = self.matrices.shape
        if len(shape) != 3 or shape[0] != len(self.names) or shape[1] != shape[2]:
            raise DataError(f"Expected a square matrix per image for {len(self.names)} images, got {shape}.")
        if len(self.tags) not in (0, len(self.names)):
            raise DataError(f"Expected tags for {len(self.names)} images or none, got {len(self.tags)}.")
        if self.void is not None and self.void.shape != shape[:2]:
            raise DataError(f"Expected void pixels of shape {shape[:2]}, got {self.void.shape}.")

    @classmethod
    def collect(
        cls,
        matrices: Mapping[str, Matrix],
        tags: Sequence[Mapping[str, str]] = (),
        void: Sequence[npt.NDArray[np.int64]] = (),
    ) -> PerImageConfusion:
        """From one matrix per sample name, in the mapping's order, the samples' tags and their void pixels, if any."""
        shapes = {matrix.shape for matrix in matrices.values()}
        if len(shapes) != 1:
            raise DataError(f"Expected at least one matrix, and all of one shape; got {sorted(shapes)}.")
        stacked = np.stack(list(matrices.values())).astype(np.uint32)
        return cls(tuple(matrices), stacked, tuple(tags), np.stack(void).astype(np.uint32) if void else None)

    def total(self) -> Matrix:
        """Sum over the images. Shape: ``(C, C)`` int64."""
        summed: Matrix = self.matrices.sum(axis=0, dtype=np.int64)
        return summed

    def total_with_void(self) -> Matrix | None:
        """The same with one row and column more, for what is predicted where the truth is void; None if unknown.

        Shape: ``(C + 1, C + 1)`` int64.
        """
        if self.void is None:
            return None
        return np.vstack(
            [np.pad(self.total(), ((0, 0), (0, 1))), np.append(self.void.sum(axis=0, dtype=np.int64), 0)]
        )

    def totals_by(self, tag: str) -> dict[str, Matrix]:
        """Sum over the images with each value of a tag, in the order of the values. Shape: ``(C, C)`` int64 each."""
        values = np.array([facts.get(tag, "") for facts in self.tags])
        return {
            str(value): self.matrices[values == value].sum(axis=0, dtype=np.int64)
            for value in np.unique(values)
            if value
        }

    def first(self, images: int | None) -> PerImageConfusion:
        """Those of the first images; all for None."""
        void = None if self.void is None else self.void[:images]
        return PerImageConfusion(self.names[:images], self.matrices[:images], self.tags[:images], void)

    def save(self, path: Path) -> None:
        """Writes a compressed npz atomically; equal content gives equal bytes."""
        texts = [json.dumps(dict(facts), sort_keys=True) for facts in self.tags]
        arrays = {
            "names": np.array(self.names, dtype=np.str_),
            "matrices": self.matrices,
            "tags": np.array(texts, dtype=np.str_),
            **({} if self.void is None else {"void": self.void}),
        }
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays, **{_DIGEST: np.array(_digest(arrays))})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> PerImageConfusion:
        """Reads what `save` wrote; a RunStateError if the file is missing, changed, damaged or something else."""
        try:
            arrays = _arrays(path)
            written = arrays.pop(_DIGEST, None)
            if written is not None and str(written) != _digest(arrays):
                raise ValueError("it was changed after it had been written")
            names = tuple(str(name) for name in arrays["names"])
            texts = arrays.get("tags", ())  # not in files of older versions
            tags = tuple({str(k): str(v) for k, v in json.loads(str(text)).items()} for text in texts)
            void = arrays["void"].astype(np.uint32, casting="safe") if "void" in arrays else None
            return cls(names, arrays["matrices"].astype(np.uint32, casting="safe"), tags, void)
        except (*_UNREADABLE, DataError) as error:
            raise RunStateError(
                f"{path} is no file of confusion matrices ({error}). Delete the job's folder to run it again."
            ) from error


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a file, none of which is unpickled, if all of them have a bearable size."""
    require_plain(path, _LARGEST)
    with np.load(path, allow_pickle=False) as packed:
        if any(info.comment for info in packed.zip.infolist()):  # which hides the entries behind it
            raise ValueError("its list of arrays was changed after it had been written")
        size = sum(info.file_size for info in packed.zip.infolist())
        if size > _LARGEST:
            raise ValueError(f"unpacked it has {size:,} bytes, and at most {_LARGEST:,} are read")
        return dict(packed)


def _digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """sha256 of names, types, shapes and contents."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
