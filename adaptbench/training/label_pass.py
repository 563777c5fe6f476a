"""The pass of a labelling stage over the target's training images; one that is stopped goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.labelling import Facts, Labeller
from adaptbench.contracts.method import Method
from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.networks.inference import Size

#: Name, dataset, sample, and the box it is resized into as (width, height) in pixels.
Item = tuple[str, Dataset, Sample, tuple[int, int]]


def label_images(
    method: Method,
    labeller: Labeller,
    items: Sequence[Item],
    kept: PseudoLabels,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> None:
    """Labels every image of ``items`` that has no label in ``kept`` yet, in order, with the student of ``method``.

    Raises:
        InterruptedTrainingError: asked to stop, before any image; what is labelled is saved.
        DataError: an image cannot be read.
        RunStateError: what the network says of an image is no finite number.
    """
    method.eval()
    done = kept.resume()
    for number, (name, dataset, sample, box) in enumerate(items):
        if should_stop():
            raise InterruptedTrainingError(
                f"Stopped after {number} of {len(items)} pseudo-labels; run again to go on."
            )
        report(number, len(items))
        if name not in done:
            image, file = shown(method, dataset, sample, box)
            size = file if labeller.size == "file" else (image.shape[-2], image.shape[-1])
            with torch.no_grad():
                made = labeller.label(method, image, size)
            _require_finite(name, made.facts)
            kept.add(name, made.label.cpu().numpy(), made.facts)


def _require_finite(name: str, facts: Facts) -> None:
    broken = [fact for fact, value in facts.items() if not math.isfinite(value)]
    if broken:
        raise RunStateError(
            f"The pseudo-label of {name} has {broken[0]} = {facts[broken[0]]}: the network that made it has "
            "diverged. Train it again with a lower learning_rate."
        )


def shown(method: Method, dataset: Dataset, sample: Sample, box: tuple[int, int]) -> tuple[Tensor, Size]:
    """The image as the network gets it in a test, and the (height, width) of its file."""
    image, device = dataset.read_image(sample), next(method.student.parameters()).device
    return method.shown(image, box).to(device), (image.shape[0], image.shape[1])
