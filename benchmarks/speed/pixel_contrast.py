"""Pixel-level contrast of EHTDI at its published size, in blocks and from the whole matrix of similarities.

``python benchmarks/speed/pixel_contrast.py blocks|whole`` prints the peak memory of one loss with its gradient, beyond
that of the process before it, in MiB. A crop of 512 pixels gives 65x65 logits, and so 8,450 rows of similarities.
"""

from __future__ import annotations

import resource
import sys

import torch
from torch import Tensor
from torch.nn import functional

from adaptbench.adaptation.view_contrast import pixel_contrast

CLASSES, SIDE, FACTOR = 19, 65, 20.0


def new_views(side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Logits of two views of an image."""
    random = torch.Generator().manual_seed(0)
    strong, weak = 3 * torch.randn(2, CLASSES, side, side, generator=random)
    return strong.requires_grad_(), weak.requires_grad_()


def whole(strong: Tensor, weak: Tensor, factor: float) -> Tensor:
    """The definition: all similarities at once."""
    rows = torch.cat([logits.softmax(dim=0).flatten(1).T for logits in (strong, weak)])
    similarity = (rows @ rows.T).fill_diagonal_(-100_000.0) * factor
    return functional.cross_entropy(similarity, torch.arange(len(rows)).roll(len(rows) // 2))


def in_blocks(strong: Tensor, weak: Tensor, factor: float) -> Tensor:
    """Ours."""
    return pixel_contrast(strong, weak, factor)


def gradients(kind: str, side: int = SIDE) -> tuple[Tensor, ...]:
    """The loss of one image, and its gradients."""
    views = new_views(side)
    loss = {"blocks": in_blocks, "whole": whole}[kind](*views, FACTOR)
    return loss.detach(), *torch.autograd.grad(loss, views)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    gradients(sys.argv[1], side=4)  # what torch loads when it is first used
    before = _peak()
    gradients(sys.argv[1])
    print(round(_peak() - before))  # noqa: T201
