"""How good a method's network looks on unlabelled target images; this runs out of reach of their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from adaptbench.contracts.method import Method
from adaptbench.errors import InterruptedTrainingError
from adaptbench.evaluation.validators import label_free_scores
from adaptbench.networks.inference import Mode, predict
from adaptbench.training.label_pass import Item, shown

#: At most so many images, evenly spaced over the target's training images.
IMAGES = 100
#: Pixels of an image are those of a grid with so many rows and columns.
GRID = 32


def spread(items: Sequence[Item]) -> list[Item]:
    """At most `IMAGES` of ``items``, evenly spaced."""
    count = min(IMAGES, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def scores(
    method: Method, items: Sequence[Item], device: torch.device, stop: Callable[[], bool]
) -> dict[str, float]:
    """What the validators say of a method's networks, by the name of the checkpoint rule."""
    method.to(device).eval()
    scored, other = method.scored_network(), method.other_network()
    seen: list[Tensor] = []
    compared: list[Tensor] = []
    for _, dataset, sample, box in items:
        if stop():
            raise InterruptedTrainingError("Stopped while snapshots were compared; run again to go on.")
        image, _ = shown(method, dataset, sample, box)
        seen.append(_pixels(scored, image, method.inference()))
        if other is not None:
            compared.append(_pixels(other, image, method.inference()))
    return label_free_scores(seen, compared)


def _pixels(network: nn.Module, image: Tensor, mode: Mode) -> Tensor:
    """Class probabilities on a grid of pixels. Shape: ``(1, 3, H, W)`` to ``(GRID², C)``, on the CPU."""
    logits = predict(network, image, mode)[0]
    rows, columns = (
        ((torch.arange(GRID, device=logits.device) + 0.5) * side / GRID).long() for side in logits.shape[1:]
    )
    return logits[:, rows][:, :, columns].flatten(1).softmax(dim=0).T.cpu()
