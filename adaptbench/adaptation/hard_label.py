"""Hard pseudo-labels: the likeliest class of every pixel, or none where the network is not confident."""

from __future__ import annotations

from torch import Tensor

from adaptbench.adaptation.seg_loss import IGNORE


def hard_label(logits: Tensor, threshold: float) -> Tensor:
    """The likeliest class where its probability exceeds ``threshold``, else 255.

    Shape: logits float ``(B, C, H, W)`` to int64 ``(B, 1, H, W)``.

    Source: EHTDI, target-boundary mix-up (threshold 0.95); docs/quirks.md#b4 and #b6.
    """
    probability, label = logits.detach().softmax(dim=1).max(dim=1, keepdim=True)
    return label.masked_fill(probability <= threshold, IGNORE)


def mean_hard_label(main: Tensor, aux: Tensor, threshold: float) -> Tensor:
    """The likeliest class by the mean of two outputs where either is more confident than ``threshold``, else 255.

    Shape: logits float ``(B, C, H, W)`` each, to int64 ``(B, 1, H, W)``.

    Source: PixMatch, its label of the auxiliary output; docs/quirks.md#b5.
    """
    probabilities = [logits.detach().softmax(dim=1) for logits in (main, aux)]
    label = ((probabilities[0] + probabilities[1]) / 2).argmax(dim=1, keepdim=True)
    sure = [probability.amax(dim=1, keepdim=True) > threshold for probability in probabilities]
    return label.masked_fill(~(sure[0] | sure[1]), IGNORE)
