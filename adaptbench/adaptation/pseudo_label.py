"""Pseudo labels of a teacher and how far they are trusted."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

PaddingRule = Literal["as-published", "zero"]
"""What the value 255 (padding) in a valid mask does to the weight, see `restrict`."""

_PADDED = 255


class PseudoLabel(NamedTuple):
    """Labels predicted by a teacher and their weight in the loss.

    Shape:
        - label: int64 (B, H, W), class indices 0..C-1, never 255.
        - weight: float32 (B, H, W), 0..1 before region masks; one value for the whole batch.
        - confident: bool (B, H, W), the pixels whose share is the weight; for display, no loss uses it.
    """

    label: Tensor
    weight: Tensor
    confident: Tensor


def pseudo_label(logits: Tensor, threshold: float) -> PseudoLabel:
    """Label every pixel with its likeliest class, weighted by the share of confident pixels.

    weight = #{pixels of the batch with max_c p_c >= threshold} / #{pixels of the batch}. The share is one
    number for the whole batch, and the threshold (0.968 in the papers) is inclusive. Ties go to the lower
    class index. A teacher that is no longer finite somewhere gives the weight NaN.

    Shape: logits float (B, C, H, W), see `PseudoLabel`.

    Raises:
        ValueError: the logits are not four-dimensional or the threshold lies outside 0..1.

    Source: DACS, arXiv 2007.08702, section 3; DAFormer, arXiv 2111.14887, equations 2 to 4; docs/quirks.md#s32.
    """
    if logits.dim() != 4:
        raise ValueError(f"logits: expected (B, C, H, W), got shape {tuple(logits.shape)}")
    # Half-precision probabilities near the threshold would be rounded to it.
    scores = logits.detach() if logits.dtype == torch.float64 else logits.detach().float()
    return likeliest(scores.softmax(dim=1), threshold)


def likeliest(probability: Tensor, threshold: float) -> PseudoLabel:
    """The same from probabilities, for example of several views. Shape: float (B, C, H, W), see `PseudoLabel`.

    Raises:
        ValueError: the threshold lies outside 0..1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold: expected a probability in 0..1, got {threshold}")
    confidence, label = probability.max(dim=1)
    confident = confidence >= threshold
    share = confident.sum().double() / label.numel()
    share = torch.where(confidence.isnan().any(), torch.nan, share)  # so that the training stops
    weight = torch.empty_like(label, dtype=torch.float32)
    return PseudoLabel(label, weight.copy_(share.expand_as(weight)), confident)


def restrict(
    weight: Tensor,
    valid_mask: Tensor | None = None,
    ignore_top: int = 0,
    ignore_bottom: int = 0,
    padding: PaddingRule = "as-published",
) -> Tensor:
    """Take regions out of the pseudo-label weight: either rows at the top and bottom, or a valid mask.

    Where a crop exceeds the image, the loader pads the mask with 255. ``as-published`` multiplies by the mask
    as it is, so padded pixels weigh 255 times as much, as in the reference; ``zero`` takes them out and
    reads any other non-zero value as 1.

    Shape:
        - weight: float (B, H, W), 0 or more; a new tensor like it is returned.
        - valid_mask: uint8, int64 or bool (B, H, W) or (B, 1, H, W); 1 = used, 0 = not, 255 = padded.

    Raises:
        ValueError: a mask is combined with ignored rows, its shape differs, a row count is negative, or the
            padding rule is unknown.

    Source: DAFormer, arXiv 2111.14887, section 4.1; HRDA, arXiv 2204.13132; docs/quirks.md#s33 and #s34.
    """
    if ignore_top < 0 or ignore_bottom < 0:
        raise ValueError(f"ignored rows: expected 0 or more, got top {ignore_top}, bottom {ignore_bottom}")
    if valid_mask is None:
        restricted = weight.clone()
        restricted[:, :ignore_top] = 0
        restricted[:, max(weight.shape[1] - ignore_bottom, 0) :] = 0
        return restricted
    if ignore_top or ignore_bottom:
        raise ValueError("a valid mask and ignored rows exclude each other; use one of them")
    return weight * _mask_weight(valid_mask, weight, padding)


def _mask_weight(valid_mask: Tensor, weight: Tensor, padding: PaddingRule) -> Tensor:
    mask = valid_mask.squeeze(1) if valid_mask.dim() == 4 else valid_mask
    if mask.shape != weight.shape:
        raise ValueError(f"valid_mask: expected shape {tuple(weight.shape)}, got {tuple(mask.shape)}")
    if padding == "as-published":
        return mask.to(weight.dtype)
    if padding == "zero":
        return ((mask != 0) & (mask != _PADDED)).to(weight.dtype)
    raise ValueError(f"padding: expected 'as-published' or 'zero', got {padding!r}")
