"""Confusion matrices: exact counts, one matrix per image.

Every score is a function of these counts, so records keep them per image: statistics can resample
images, and another class view needs no second inference.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE
from adaptbench.errors import DataError, RunStateError
from adaptbench.storage.atomic import replacing

Matrix = npt.NDArray[np.int64]

#: What numpy raises for a file that is no archive of plain arrays.
_UNREADABLE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, BadZipFile, zlib.error)

#: A histogram bin of OpenCV is a float32, which is exact up to this count.
_EXACT = 2**24


def confusion_matrix(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.integer], num_classes: int
) -> Matrix:
    """Counts how often a pixel of true class i was predicted as class j, over labelled pixels.

    One joint histogram of the 256 x 256 possible pairs gives the counts and shows at once whether any
    value is out of range. Pixels whose label is 255 (ignore) are dropped, whatever was predicted there.

    Shape: ``(num_classes, num_classes)`` int64; rows are the truth, columns the prediction.

    Args:
        label: train ids, ``0..num_classes-1`` or 255. Shape: ``(H, W)`` uint8.
        prediction: predicted train ids, ``0..num_classes-1``. Shape: ``(H, W)``, any integer type.
        num_classes: size of the class set, at most 255.

    Raises:
        DataError: the shapes differ, a label is neither a class nor 255, or a labelled pixel's
            prediction is no class. (Public evaluators differ in what such pixels count as; here they
            are mistakes of the caller.)

    Example:
        >>> import numpy as np
        >>> label = np.array([[0, 0, 1, 255]], dtype=np.uint8)
        >>> confusion_matrix(label, np.array([[0, 1, 1, 0]]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    if label.shape != prediction.shape:
        raise DataError(
            f"Label map and prediction differ in shape: {label.shape} and {prediction.shape}. "
            "Predictions are scored at the size of the label file."
        )
    pairs = _pair_counts(_as_bytes(label, "label"), _as_bytes(prediction, "prediction"))
    _require_classes(pairs, num_classes)
    return pairs[:num_classes, :num_classes].copy()


@dataclass(frozen=True)
class PerImageConfusion:
    """The confusion matrices of a split, one per image.

    Attributes:
        names: the samples' names, in the order of the matrices.
        matrices: Shape: ``(N, C, C)`` uint32; rows are the truth, columns the prediction.
        tags: facts about every sample, for example ``{"condition": "fog"}``; empty where none were kept.
    """

    names: tuple[str, ...]
    matrices: npt.NDArray[np.uint32]
    tags: tuple[Mapping[str, str], ...] = ()

    def __post_init__(self) -> None:
        shape = self.matrices.shape
        if len(shape) != 3 or shape[0] != len(self.names) or shape[1] != shape[2]:
            raise DataError(f"Expected a square matrix per image for {len(self.names)} images, got {shape}.")
        if len(self.tags) not in (0, len(self.names)):
            raise DataError(f"Expected tags for {len(self.names)} images or none, got {len(self.tags)}.")

    @classmethod
    def collect(
        cls, matrices: Mapping[str, Matrix], tags: Sequence[Mapping[str, str]] = ()
    ) -> PerImageConfusion:
        """From one matrix per sample name, in the mapping's order, and the samples' tags.

        Raises:
            DataError: there is no image, or the matrices differ in shape.
        """
        shapes = {matrix.shape for matrix in matrices.values()}
        if len(shapes) != 1:
            raise DataError(f"Expected at least one matrix, and all of one shape; got {sorted(shapes)}.")
        return cls(tuple(matrices), np.stack(list(matrices.values())).astype(np.uint32), tuple(tags))

    def total(self) -> Matrix:
        """Sum over the images. Shape: ``(C, C)`` int64."""
        summed: Matrix = self.matrices.sum(axis=0, dtype=np.int64)
        return summed

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
        return PerImageConfusion(self.names[:images], self.matrices[:images], self.tags[:images])

    def save(self, path: Path) -> None:
        """Writes a compressed npz atomically; equal content gives equal bytes.

        Raises:
            RunStateError: the folder cannot be written, or the disk is full.
        """
        texts = [json.dumps(dict(facts), sort_keys=True) for facts in self.tags]
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                names=np.array(self.names, dtype=np.str_),
                matrices=self.matrices,
                tags=np.array(texts, dtype=np.str_),
            )

    @classmethod
    def load(cls, path: Path) -> PerImageConfusion:
        """Reads what `save` wrote.

        Raises:
            RunStateError: the file is missing, damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = tuple(str(name) for name in arrays["names"])
                texts = arrays.get("tags", ())  # not in files of older versions
                tags = tuple({str(k): str(v) for k, v in json.loads(str(text)).items()} for text in texts)
                return cls(names, arrays["matrices"].astype(np.uint32, casting="safe"), tags)
        except (*_UNREADABLE, DataError) as error:
            raise RunStateError(
                f"{path} is no file of confusion matrices ({error}). Delete the job's folder to run it again."
            ) from error


def _as_bytes(ids: npt.NDArray[np.integer], what: str) -> npt.NDArray[np.uint8]:
    """The ids as one row of uint8. Shape: ``(1, N)``."""
    if ids.dtype != np.uint8 and ids.size and (ids.min() < 0 or ids.max() > 255):
        raise DataError(f"A {what} map holds ids from {ids.min()} to {ids.max()}; expected 0 to 255.")
    return np.ascontiguousarray(ids, dtype=np.uint8).reshape(1, -1)


def _pair_counts(label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> Matrix:
    """Joint histogram of two rows of bytes. Shape: ``(256, 256)`` int64."""
    counts = np.zeros((256, 256), dtype=np.int64)
    for start in range(0, label.shape[1], _EXACT):
        part = slice(start, start + _EXACT)
        pair = [label[:, part], prediction[:, part]]
        counts += cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return counts


def _require_classes(pairs: Matrix, num_classes: int) -> None:
    unknown = np.flatnonzero(pairs[num_classes:IGNORE].any(axis=1)) + num_classes
    if unknown.size:
        raise DataError(
            f"A label map holds the ids {unknown.tolist()}; expected 0 to {num_classes - 1}, or {IGNORE} for "
            "ignored pixels. Raw label ids are mapped to train ids before scoring (adaptbench.data.taxonomy)."
        )
    outside = np.flatnonzero(pairs[:num_classes, num_classes:].any(axis=0)) + num_classes
    if outside.size:
        raise DataError(
            f"A prediction holds the ids {outside.tolist()} on labelled pixels; expected 0 to "
            f"{num_classes - 1}. The network's head must have as many outputs as the class set has classes."
        )
