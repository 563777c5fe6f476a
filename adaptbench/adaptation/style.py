"""SHADE: hallucinate new styles of early features and ask for the same prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.ranks.whole_batch import drawn_rows

_STD_EPSILON = 1e-7
_SMALLEST_PROBABILITY = 1e-7


class Style(NamedTuple):
    """Channel statistics of feature maps: mean, and standard deviation above 0. Shape: float (N, C) each."""

    mean: Tensor
    std: Tensor

    def vectors(self) -> Tensor:
        """Return mean and standard deviation side by side. Shape: (N, 2C)."""
        return torch.cat([self.mean, self.std], dim=1)


def style_of(features: Tensor) -> Style:
    """Return the mean and the unbiased standard deviation (plus 1e-7) of every channel, without gradient.

    Shape: float (B, C, H, W), at least two positions, to (B, C) each.

    Raises:
        ValueError: the features are not four-dimensional or have fewer than two positions.

    Source: SHADE, arXiv 2204.02548, style hallucination; docs/quirks.md#s58.
    """
    if features.dim() != 4 or features.shape[2] * features.shape[3] < 2:
        raise ValueError(
            f"features: expected (B, C, H, W) with two or more positions, got {tuple(features.shape)}"
        )
    positions = features.detach().flatten(2)
    return Style(positions.mean(dim=2), positions.std(dim=2, correction=1) + _STD_EPSILON)


def draw_style_weights(
    batch: int, number: int, concentration: float, generator: np.random.Generator
) -> Tensor:
    """Draw how the base styles are mixed, for every image of one encoder pass.

    HRDA passes twice (context and detail) and draws twice. The weights follow a symmetric Dirichlet
    distribution, whose published ``concentration`` is 0.0156.

    Shape: float32 (batch, number), 0 or more, sum 1 per row.

    Source: SHADE, arXiv 2204.02548, style hallucination; docs/quirks.md#s58.
    """
    weights = generator.dirichlet(np.full(number, concentration), size=batch)
    return torch.from_numpy(weights.astype(np.float32))


def mix_styles(weights: Tensor, base: Style) -> Style:
    """Mix base styles; standard deviations are mixed as they are, not as variances.

    Shape: weights float (B, N), sum 1 per row, and (N, C) each, to (B, C) each.

    Source: SHADE, arXiv 2204.02548, style hallucination; docs/quirks.md#s58.
    """
    return Style(weights @ base.mean, weights @ base.std)


def restyle(features: Tensor, style: Style) -> Tensor:
    """Replace the style of features: (x - own mean) / own std * new std + new mean.

    The own statistics are constants for the gradient.

    Shape: features float (B, C, H, W), unchanged, and style (B, C) each.

    Source: SHADE, arXiv 2204.02548, style hallucination; docs/quirks.md#s58.
    """
    own = style_of(features)
    mean, std, new_mean, new_std = (part[:, :, None, None] for part in (*own, *style))
    return (features - mean) / std * new_std + new_mean


def hallucinate(features: Tensor, weights: Tensor, base: Style) -> Tensor:
    """Return the features followed by copies of them in mixed base styles, computed in float32 at least.

    Shape: features float (B, C, H, W), weights float (B, N), see `draw_style_weights`, and base (N, C) each,
    to float (2B, C, H, W), originals first.

    Source: SHADE, arXiv 2204.02548, style hallucination; docs/quirks.md#s57.
    """
    whole = features.to(torch.promote_types(features.dtype, torch.float32))
    with torch.autocast(features.device.type, enabled=False):
        copies = restyle(whole, mix_styles(weights.to(whole), base))
    return torch.cat([features, copies.to(features)])


class StyleHallucination(nn.Module):
    """Doubles a batch of features, after the norm of an encoder's first stage, in training mode.

    Its buffers are the base styles; as ``style_hallucination`` of the encoder they carry the names of
    published checkpoints. The encoder calls it in training mode only; the weights of its passes come from
    the enclosing `drawing`. There are as many base styles as channels in the papers, which is the default.

    Source: SHADE, arXiv 2204.02548, style hallucination; DG with HRDA, arXiv 2304.13615; docs/quirks.md#s57 and #s58.
    """

    def __init__(self, channels: int, number: int | None = None) -> None:
        super().__init__()
        shape = (channels if number is None else number, channels)
        self.proto_mean: Tensor
        self.proto_std: Tensor
        self.register_buffer("proto_mean", torch.zeros(shape))
        self.register_buffer("proto_std", torch.ones(shape))
        self._draw: Callable[[int], Tensor] | None = None

    @property
    def base(self) -> Style:
        """The base styles. Shape: (N, C) each."""
        return Style(self.proto_mean, self.proto_std)

    def set_base(self, base: Style) -> None:
        """Replace the base styles by others of the same number and channels."""
        if base.mean.shape != self.proto_mean.shape or base.std.shape != self.proto_std.shape:
            raise ValueError(
                f"base styles: expected shape {tuple(self.proto_mean.shape)}, got {tuple(base.mean.shape)}"
            )
        self.proto_mean.copy_(base.mean)
        self.proto_std.copy_(base.std)

    @contextmanager
    def drawing(self, draw: Callable[[int], Tensor]) -> Iterator[None]:
        """Let the encoder passes of this block take their weights from ``draw``, once per pass.

        It is called with the number of images, for example `draw_style_weights` with a generator.
        """
        before, self._draw = self._draw, draw
        try:
            yield
        finally:
            self._draw = before

    def forward(self, features: Tensor) -> Tensor:
        """Return the features followed by their restyled copies. Shape: float (B, C, H, W) to (2B, C, H, W).

        Raises:
            RuntimeError: the pass is not inside a `drawing` block.
        """
        return hallucinate(features, drawn_rows(self._weights, features.shape[0]), self.base)

    def _weights(self, images: int) -> Tensor:
        if self._draw is None:
            raise RuntimeError("style hallucination: a training pass outside of `with module.drawing(...)`")
        return self._draw(images)


@torch.no_grad()
def image_styles(stage: Callable[[Tensor], Tensor], image: Tensor, scale: float = 1.0) -> Style:
    """Return the styles of images from the normed features of an encoder's first stage, in eval mode.

    Images are resized by ``scale`` first (bilinear): for the context scale of HRDA by 0.5.

    Shape: float (B, 3, H, W), normalised, to (B, C) each.

    Source: docs/quirks.md#s61.
    """
    if scale != 1.0:
        image = functional.interpolate(image, scale_factor=scale, mode="bilinear", align_corners=False)
    return style_of(stage(image))


def collect_styles(stage: Callable[[Tensor], Tensor], images: Iterable[Tensor], scale: float = 1.0) -> Style:
    """Return the styles of all batches of images, see `image_styles`.

    Raises:
        ValueError: there is no batch.
    """
    styles = [image_styles(stage, image, scale) for image in images]
    if not styles:
        raise ValueError("images: expected at least one batch, got none")
    return Style(torch.cat([style.mean for style in styles]), torch.cat([style.std for style in styles]))


def farthest_points(points: Tensor, number: int, start: int) -> Tensor:
    """Choose points one by one, each the farthest (squared Euclidean) from all chosen before.

    The first is ``start``. Ties go to the lower index.

    Shape: float (N, D) to int64 (number,), in the order of their choice.

    Raises:
        ValueError: there are fewer points than are to be chosen, or the start is none of them.

    Source: SHADE, arXiv 2204.02548, basis styles; docs/quirks.md#s61.
    """
    if not 1 <= number <= len(points) or not 0 <= start < len(points):
        raise ValueError(f"cannot choose {number} of {len(points)} points from number {start} on")
    chosen = torch.empty(number, dtype=torch.int64, device=points.device)
    nearest = torch.full_like(points[:, 0], torch.inf)
    chosen[0] = start
    for step in range(1, number):
        distance = (points - points[chosen[step - 1]]).square().sum(dim=1)
        nearest = torch.minimum(nearest, distance)
        chosen[step] = nearest.argmax()
    return chosen


def base_styles(styles: Style, number: int, start: int) -> Style:
    """Choose base styles (as many as channels in the papers: 64) by farthest point sampling over (mean, std).

    The index of the first one is drawn uniformly in the papers.

    Shape: (N, C) each to (number, C) each, in the order of their choice.

    Source: SHADE, arXiv 2204.02548, basis styles; docs/quirks.md#s61.
    """
    chosen = farthest_points(styles.vectors(), number, start)
    return Style(styles.mean[chosen], styles.std[chosen])


def style_consistency(logits: Tensor, weight: float) -> Tensor:
    """Ask for equal predictions on the original and the restyled half of a batch.

    loss = weight * (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, clamped to 1e-7..1 before its
    logarithm, averaged over the positions of one half. Ignored pixels count; gradients flow through p, q and
    m. The weight is 10 in the papers.

    Shape: logits of the decoder (HRDA: fused), not resized, float (2B, C, H, W), originals first, to a
    scalar, 0 or more.

    Raises:
        ValueError: the logits are not four-dimensional or their number is odd.

    Source: SHADE, arXiv 2204.02548, style consistency; docs/quirks.md#s59.
    """
    if logits.dim() != 4 or logits.shape[0] % 2:
        raise ValueError(f"logits: expected (2B, C, H, W), got shape {tuple(logits.shape)}")
    halves = logits.softmax(dim=1).chunk(2)
    mixture = ((halves[0] + halves[1]) / 2).clamp(_SMALLEST_PROBABILITY, 1).log()
    positions = mixture.numel() / mixture.shape[1]
    divergences = [functional.kl_div(mixture, half, reduction="sum") / positions for half in halves]
    return torch.stack(divergences).mean() * weight
