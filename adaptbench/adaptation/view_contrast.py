"""Contrast between two views of an image: every distribution has to be most similar to its counterpart.

With the distributions of both views as the rows of P, loss = mean over all rows i of the cross entropy of
``factor * P[i] P^T`` (without ``P[i]`` itself) with the row of the same pixel, or class, in the other view. P has two
rows for every pixel, so that the matrix of similarities is quadratic in the number of pixels. It is computed in blocks
of rows, together with their part of the gradient, and never exists as a whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from adaptbench.adaptation.seg_loss import IGNORE

#: Similarity of a row with itself, before the factor.
_SELF = -100_000.0
#: Rows of the matrix of similarities that exist at the same time.
BLOCK = 512


def paired_contrast(first: Tensor, second: Tensor, factor: float, block: int = BLOCK) -> Tensor:
    """The contrast between the rows of two views, which are in the same order.

    The ``factor`` on the similarities is 20 for pixels and 7 for prototypes as published. ``block`` rows are
    compared with all others at a time; it changes no number beyond rounding.

    Shape: float ``(M, C)`` each, rows that sum to 1, to a scalar, 0 or more.

    Source: EHTDI, multi-level contrast; docs/quirks.md#b8.
    """
    loss: Tensor = _PairedContrast.apply(torch.cat([first, second]), factor, block)
    return loss


class _PairedContrast(torch.autograd.Function):
    """The contrast of rows whose first half is one view. The part of a block in the gradient is added at once.

    With p the softmax of a row of ``factor * S`` and e the unit vector of its counterpart, the gradient by S is
    ``factor / N * (p - e)``, and S = P P^T is made of two equal factors.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, factor: float, block: int) -> Tensor:
        loss, gradient = rows.new_zeros(()), torch.zeros_like(rows)
        others = counterparts(len(rows)).to(rows.device)[:, None]
        for start in range(0, len(rows), block):
            part, other = rows[start : start + block], others[start : start + block]
            scores = similarities(rows, start, block).mul_(factor)
            norm = scores.logsumexp(dim=1, keepdim=True)
            loss += (norm - scores.gather(1, other)).sum()
            if ctx.needs_input_grad[0]:
                surplus = scores.sub_(norm).exp_()
                surplus.scatter_add_(1, other, torch.full_like(norm, -1.0))
                gradient[start : start + block] += surplus @ rows
                gradient.addmm_(surplus.T, part)
        ctx.save_for_backward(gradient.mul_(factor / len(rows)))
        return loss / len(rows)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[0] * gradient, None, None


def similarities(rows: Tensor, start: int, block: int) -> Tensor:
    """Scalar products of the ``block`` rows from ``start`` on with all rows. Shape: ``(N, C)`` to ``(block, N)``."""
    part = rows[start : start + block]
    own = torch.arange(start, start + len(part), device=rows.device)
    return (part @ rows.T).scatter_(1, own[:, None], _SELF)


def counterparts(rows: int) -> Tensor:
    """Index of the row of the same pixel or class in the other view, for every row. Shape: int64 ``(rows,)``."""
    return torch.arange(rows).roll(rows // 2)


def pixel_contrast(strong: Tensor, weak: Tensor, factor: float, block: int = BLOCK) -> Tensor:
    """The contrast between the class probabilities of all pixels of an image in two views.

    Shape: logits float ``(C, h, w)`` each, to a scalar.

    Source: EHTDI, pixel-level contrast; docs/quirks.md#b8.
    """
    pixels = [logits.softmax(dim=0).flatten(1).T for logits in (strong, weak)]
    return paired_contrast(pixels[0], pixels[1], factor, block)


def prototype_contrast(strong: Tensor, weak: Tensor, label: Tensor, factor: float) -> Tensor | None:
    """The contrast between the prototypes of the classes of an image in two views; None if it shows no class.

    Shape: logits float ``(C, h, w)`` each, label int64 ``(h, w)`` with 255 = ignore, to a scalar.

    Source: EHTDI, prototype-level contrast; docs/quirks.md#b8.
    """
    classes = torch.unique(label[label != IGNORE])
    if not len(classes):
        return None
    return paired_contrast(
        prototypes(strong, label, classes), prototypes(weak, label, classes), factor, block=2 * len(classes)
    )


def prototypes(logits: Tensor, label: Tensor, classes: Tensor) -> Tensor:
    """Softmax of the mean logits of every class.

    Shape: logits float ``(C, h, w)``, label int64 ``(h, w)``, classes int64 ``(n,)``, to float ``(n, C)``.
    """
    return torch.stack([logits[:, label == c].mean(dim=1) for c in classes]).softmax(dim=1)


def label_at(label: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels at the resolution of the logits: the nearest pixel, its index rounded down.

    Shape: int64 ``(B, 1, H, W)`` to ``(B, h, w)``.
    """
    return functional.interpolate(label.float(), size=size, mode="nearest").long().squeeze(1)
