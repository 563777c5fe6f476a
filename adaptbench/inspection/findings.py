"""What one sample holds, and what is wrong with it. Nothing here raises for a damaged file: that is a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data.label_ids import histogram, unknown_ids
from adaptbench.errors import DataError

Size = tuple[int, int]
Kind = Literal[
    "missing image",
    "surplus image",
    "missing label",
    "label without image",
    "image",
    "label",
    "size",
    "ids",
    "blank",
]


@dataclass(frozen=True)
class Finding:
    """Something wrong with a sample, or with a split.

    Attributes:
        kind: what sort of defect.
        name: of the sample or file; empty for a whole split.
        text: what is wrong, one sentence.
        known: the official release has this defect, and the sample is left out of training.
    """

    kind: Kind
    name: str
    text: str
    known: bool = False


@dataclass(frozen=True)
class Seen:
    """What was found in a sample.

    Attributes:
        size: of the image, (width, height); None if it cannot be read.
        ids: pixels by raw id of the label.
    """

    name: str
    size: Size | None = None
    ids: Mapping[int, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def label_ids(dataset: Dataset, sample: Sample) -> dict[int, int]:
    """Pixels by raw id of a sample's label."""
    return histogram(dataset.read_label(sample))


def inspect(dataset: Dataset, sample: Sample, labelled: bool, known_ids: frozenset[int]) -> Seen:
    """Decodes an image, which exists, and if it is ``labelled`` its label, which does, too."""
    image, findings = _read(lambda: dataset.read_image(sample), "image", sample.name)
    label, more = (
        _read(lambda: dataset.decode_label(sample), "label", sample.name) if labelled else (None, [])
    )
    findings += more
    if image is not None and image.min() == image.max():
        findings.append(Finding("blank", sample.name, f"{sample.image} shows a single colour."))
    if image is not None and label is not None and image.shape[:2] != label.shape[:2]:
        text = f"The image has {_text(_size(image))} pixels and {sample.label} {_text(_size(label))}."
        findings.append(Finding("size", sample.name, text))
    ids = {} if label is None else histogram(label)
    if label is not None and (unknown := unknown_ids(label, known_ids)):
        findings.append(Finding("ids", sample.name, dataset.unknown_ids_in(sample, unknown)))
    return Seen(sample.name, None if image is None else _size(image), ids, tuple(findings))


def _read(
    read: Callable[[], npt.NDArray[np.uint8]], kind: Literal["image", "label"], name: str
) -> tuple[npt.NDArray[np.uint8] | None, list[Finding]]:
    try:
        return read(), []
    except DataError as error:
        return None, [Finding(kind, name, str(error))]


def _size(array: npt.NDArray[np.uint8]) -> Size:
    return array.shape[1], array.shape[0]


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
