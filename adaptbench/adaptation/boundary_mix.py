"""Target-boundary mix: the confident pixels of a target image are pasted onto a source image.

The network learns the boundaries of target objects from labels that it is confident of.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from adaptbench.adaptation.class_mix import mix
from adaptbench.adaptation.seg_loss import IGNORE


class Front(NamedTuple):
    """The pixels of target images that are pasted. Shape: bool and int64 ``(B, 1, H, W)``; 255 outside of the mask."""

    mask: Tensor
    label: Tensor


def confident_front(label: Tensor) -> Front:
    """All pixels that have a label. Shape: int64 ``(B, 1, H, W)``, 255 = none.

    Source: docs/quirks.md#b6, first half.
    """
    return Front(label != IGNORE, label)


def fused_front(label: Tensor, pasted: Tensor, source_label: Tensor) -> Front:
    """All pixels that have a label, and those pasted from the source with their true labels.

    Shape: labels int64 ``(B, 1, H, W)``, 255 = none; pasted bool ``(B, 1, H, W)``.

    Source: docs/quirks.md#b6, second half (edge enhancement).
    """
    return Front((label != IGNORE) | pasted, mix(pasted, source_label, label))
