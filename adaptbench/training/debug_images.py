"""Images of what a training step made, from time to time. They change nothing in the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adaptbench.contracts.method import Method
from adaptbench.data.batch import Batch
from adaptbench.drawing.contact_sheet import Column, contact_sheet
from adaptbench.drawing.panels import OVERLAYS, Painter
from adaptbench.errors import RunStateError
from adaptbench.networks.evaluating import evaluating
from adaptbench.networks.inference import segment
from adaptbench.training.watch import Shown, Watch

#: How labels are to be read.
_KEY = "Labels are darker where they weigh less, and hatched where they are not confident."


class DebugImages(Watch):
    """Writes ``NNNNNN.png``, named by the iteration, with a row for every sample of the batch.

    Its columns are what the step got, what the scored network predicts after it, and whatever the method shows
    of it (see `Method.observe`).
    """

    def __init__(self, every: int, folder: Path, title: str) -> None:
        super().__init__(every)
        self._folder = folder
        self._title = title

    def use(self, runner: Any, batch: Any, log: dict[str, Tensor], shown: Shown) -> None:
        """Draws one sheet."""
        method: Method = runner.model
        classes = method.task.class_set
        facts = [f"{key} {float(value):.4g}" for key, value in sorted(log.items()) if value.numel() == 1]
        heading = [f"{self._title} · iteration {runner.iter} of {runner.max_iters}", "   ".join(facts), _KEY]
        legend = classes.legend(range(256))
        painter = Painter(classes, runner.stream.normalisation)
        sheet = columns(with_batch(method, batch, shown), sample_names(method, batch), painter)
        if runner.rank:
            return
        try:
            contact_sheet(sheet, heading, legend, self._folder / f"{runner.iter:06d}.png")
        except RunStateError as error:
            raise RunStateError(
                f"A debug image stopped the training. {error} Or leave --debug-images out; the training goes "
                "on from its last checkpoint."
            ) from error


def with_batch(method: Method, batch: Batch, shown: Shown) -> Shown:
    """What was shown, after the batch and the prediction on it."""
    group: str = method.supervision
    seen = batch.labelled.image
    everything: Shown = {group: {"image": seen, "label": batch.labelled.label}}
    if batch.target is not None:
        group, seen = "target", batch.target.image
        everything[group] = {"image": seen}
    everything[group]["prediction"] = predictions(method, seen)
    for group, parts in shown.items():
        everything.setdefault(group, {}).update(parts)
    return everything


def sample_names(method: Method, batch: Batch) -> dict[str, tuple[str, ...]]:
    """Names of the samples by group."""
    names: dict[str, tuple[str, ...]] = {method.supervision: batch.labelled.names}
    if batch.target is not None:
        names["target"] = batch.target.names
    return names


def predictions(method: Method, images: Tensor) -> Tensor:
    """What the scored network makes of training images; it learns nothing from them.

    Shape: ``(B, 3, H, W)`` to ``(B, H, W)`` uint8.
    """
    network, mode = method.scored_network(), method.inference()
    size = (images.shape[-2], images.shape[-1])
    with evaluating(network):
        return torch.stack([segment(network, image[None], mode, size) for image in images])


def columns(shown: Shown, names: dict[str, tuple[str, ...]], painter: Painter) -> list[Column]:
    """A column per part that was shown, in this order."""
    found = []
    for group, parts in shown.items():
        samples = _samples(parts)
        named = list(zip(samples, names.get(group, ("",) * len(samples)), strict=False))
        for part in parts:
            if part not in OVERLAYS:
                panels = [painter.panel(part, sample, name) for sample, name in named]
                found.append(Column(f"{group} {part}".replace("_", " "), panels))
    return found


def _samples(parts: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Parts of a group as arrays, sample by sample; styled copies of a batch are left out."""
    arrays = [(v.float() if v.is_floating_point() else v).cpu().numpy() for v in parts.values()]
    return [dict(zip(parts, sample, strict=True)) for sample in zip(*arrays, strict=False)]
