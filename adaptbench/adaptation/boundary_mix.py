"""Target-boundary mix: what the network is sure of in a target picture is put on top of a source picture.

Around the pasted pixels the network has to learn where objects of the target end, with labels that it is sure of.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from adaptbench.adaptation.class_mix import mix
from adaptbench.adaptation.seg_loss import IGNORE


class Front(NamedTuple):
    """The part of target pictures that is put on top.

    Shape:
        - mask: bool ``(B, 1, H, W)``.
        - label: int64 ``(B, 1, H, W)``; 255 outside of the mask.
    """

    mask: Tensor
    label: Tensor


def confident_front(label: Tensor) -> Front:
    """All pixels with a label. Shape: int64 ``(B, 1, H, W)``, 255 = none.

    Source: quirk 6 of the recorded values, first half.
    """
    return Front(label != IGNORE, label)


def fused_front(label: Tensor, pasted: Tensor, source_label: Tensor) -> Front:
    """All pixels with a label, and those that were pasted from the source, with their true labels.

    Shape: labels int64 ``(B, 1, H, W)``, 255 = none; pasted bool ``(B, 1, H, W)``.

    Source: quirk 6 of the recorded values, second half (edge enhancement).
    """
    return Front((label != IGNORE) | pasted, mix(pasted, source_label, label))
