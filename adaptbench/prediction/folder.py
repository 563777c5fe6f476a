"""Predictions of the images of a folder: ids, colours and confidence, at the size of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptbench.data import archives
from adaptbench.data.taxonomy import ClassSet, class_set, raw_ids
from adaptbench.errors import DataError, UsageError
from adaptbench.evaluation.scorer import Scorer
from adaptbench.execution.checkpoints.scored import Checkpoint
from adaptbench.prediction.encoding import confidence_levels, png
from adaptbench.prediction.images import InputImage, read_upright
from adaptbench.prediction.partial_output import Kept

UInt8 = npt.NDArray[np.uint8]

FACTS = "predictions.json"
#: Of pixels that no class has, in Cityscapes label ids.
_UNLABELLED = 0


@dataclass
class Outcome:
    """What became of the images.

    Attributes:
        predicted: number of images predicted now.
        kept: number of those whose predictions were there.
        turned: images whose orientation tag was followed.
        unreadable: what is wrong with those that could not be read.
    """

    predicted: int = 0
    kept: int = 0
    turned: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def facts(checkpoint: Checkpoint, images: Path, box: tuple[int, int], device: str) -> dict[str, Any]:
    """What the predictions are; ``identity`` is what decides them."""
    classes = class_set(checkpoint.class_set)
    return {
        "identity": {
            "images": str(images.resolve()),
            "weights": checkpoint.weights_sha256,
            "settings": checkpoint.settings.model_dump(mode="json"),
            "profile": checkpoint.profile.name,
            "size": list(box),
            "device": device,
        },
        "checkpoint": checkpoint.name,
        "method": checkpoint.method.title,
        "network": checkpoint.network,
        "class_set": checkpoint.class_set,
        "classes": describe_classes(classes),
        "confidence": "softmax probability of the predicted class, 65535 = 1",
    }


def describe_classes(classes: ClassSet) -> list[dict[str, Any]]:
    """Train id, name, colour and, where it has one, Cityscapes label id of every class."""
    labels = label_ids(classes)
    return [
        {"train_id": index, "name": name, "colour": list(classes.palette[index])}
        | ({} if labels is None else {"label_id": int(labels[index])})
        for index, name in enumerate(classes.classes)
    ]


def label_ids(classes: ClassSet) -> UInt8 | None:
    """Lookup table from train ids to Cityscapes label ids; None for other classes. Shape: ``(256,)``."""
    try:
        return raw_ids(classes.name, "cityscapes", _UNLABELLED)
    except UsageError:
        return None


def predict(
    scorer: Scorer,
    box: tuple[int, int],
    images: Sequence[InputImage],
    kept: Kept,
    tell: Callable[[int], None],
) -> Outcome:
    """Predicts every image whose predictions are not there.

    Raises:
        RunStateError: a result cannot be written.
    """
    outcome = Outcome()
    for number, image in enumerate(images, start=1):
        try:
            _predict(scorer, box, image, kept, outcome)
        except DataError as error:
            outcome.unreadable.append(str(error))
        tell(number)
    return outcome


def _predict(scorer: Scorer, box: tuple[int, int], frame: InputImage, kept: Kept, outcome: Outcome) -> None:
    sha256 = archives.sha256(frame.path)
    if kept.holds(frame.name, sha256):
        outcome.kept += 1
        return
    image, turned = read_upright(frame.path)
    outcome.turned += [frame.path] if turned else []
    ids, confidence = scorer.predicted(image, box)
    kept.keep(frame.name, sha256, _files(frame.name, scorer.method.task.class_set, ids, confidence))
    outcome.predicted += 1


def _files(name: str, classes: ClassSet, ids: UInt8, confidence: npt.NDArray[np.float32]) -> dict[str, bytes]:
    labels = label_ids(classes)
    maps: dict[str, npt.NDArray[np.uint8] | npt.NDArray[np.uint16]] = {
        "train_ids": ids,
        **({} if labels is None else {"label_ids": labels[ids]}),
        "colours": classes.colours[ids],
        "confidence": confidence_levels(confidence),
    }
    return {f"{kind}/{name}.png": png(pixels) for kind, pixels in maps.items()}
