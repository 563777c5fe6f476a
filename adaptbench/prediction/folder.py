"""Predictions of the images of a folder: ids, colours and confidence, at the size of each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from adaptbench.prediction.images import read_upright
from adaptbench.prediction.partial_output import Kept, facts_of

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
        turned: those whose orientation tag was followed.
        unreadable: what is wrong with those that could not be read.
    """

    predicted: int = 0
    kept: int = 0
    turned: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def facts(checkpoint: Checkpoint, images: Path, box: tuple[int, int], device: str) -> dict[str, Any]:
    """What the predictions are; ``identity`` is what decides them."""
    shared = facts_of(checkpoint, {"images": str(images.resolve())}, {"size": list(box), "device": device})
    return shared | {
        "classes": describe_classes(class_set(checkpoint.class_set)),
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
    images: Mapping[str, Path],
    kept: Kept,
    tell: Callable[[int], None],
) -> Outcome:
    """Predicts every image whose predictions are not there."""
    outcome = Outcome()
    for number, (name, path) in enumerate(images.items(), start=1):
        try:
            _predict(scorer, box, name, path, kept, outcome)
        except DataError as error:
            outcome.unreadable.append(str(error))
        tell(number)
    return outcome


def _predict(
    scorer: Scorer, box: tuple[int, int], name: str, path: Path, kept: Kept, outcome: Outcome
) -> None:
    sha256 = archives.sha256(path)
    if kept.holds(name, sha256):
        outcome.kept += 1
        return
    image, turned = read_upright(path)
    outcome.turned += [path] if turned else []
    ids, confidence = scorer.predicted(image, box)
    kept.keep(name, sha256, _files(name, scorer.method.task.class_set, ids, confidence))
    outcome.predicted += 1


def _files(name: str, classes: ClassSet, ids: UInt8, confidence: npt.NDArray[np.float32]) -> dict[str, bytes]:
    labels = label_ids(classes)
    maps = {"train_ids": ids} | ({} if labels is None else {"label_ids": labels[ids]})
    maps |= {"colours": classes.colours[ids]}
    files = {kind: png(pixels) for kind, pixels in maps.items()}
    files["confidence"] = png(confidence_levels(confidence))
    return {f"{kind}/{name}.png": content for kind, content in files.items()}
