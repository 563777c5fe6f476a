"""From image to prediction: whole-image and sliding-window inference.

The arithmetic is that of mmsegmentation unless a mode says otherwise: logits are resized bilinearly
(align_corners=False) to the size of the network's input, overlapping windows are averaged as raw logits, and the
result is resized once more where the label file has another size. No softmax comes in between.

Images are normalised. Networks map ``(B, 3, H, W)`` to logits ``(B, C, h, w)`` of any resolution, C at most 255.

Images may have any size. What a network does not take (`taken_size`) is enlarged at the right and bottom by
repeating the last column and row, and the logits of the image are cut out; where nothing is missing, nothing is
changed. Repeated pixels make no edge, as zeros would, and unlike a reflection they exist for images of one pixel, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.errors import RunStateError, UsageError

#: (height, width) in pixels.
Size = tuple[int, int]


@dataclass(frozen=True)
class Whole:
    """The network sees the whole image at once.

    Attributes:
        aligned: resize logits with aligned corners and directly to the size of the label, as ADVENT and FADA do;
            otherwise without aligned corners, and first to the size of the image.
        multiple: the network takes sides that are multiples of this; any other image is seen in overlapping windows
            that are as large as possible. A side below it is padded. Units: pixels.
    """

    aligned: bool = False
    multiple: int = 1


@dataclass(frozen=True)
class Direct(Whole):
    """Likewise; logits are resized directly to the size of the label without aligned corners, as for network files."""


@dataclass(frozen=True)
class Sliding:
    """The network sees overlapping windows; where they overlap, raw logits or probabilities are averaged.

    Attributes:
        crop: window size, (height, width) in pixels; a smaller image is one window.
        stride: step between windows, (height, width) in pixels, at most ``crop``. The last window of a row
            or column is moved back to the border.
        batch: windows per forward pass; more is faster on a GPU and needs more memory.
        probabilities: average probabilities in place of raw logits, as VFM-UDA does; their logarithm is the logits.
    """

    crop: Size
    stride: Size
    batch: int = 1
    probabilities: bool = False

    def __post_init__(self) -> None:
        fits = all(0 < stride <= crop for stride, crop in zip(self.stride, self.crop, strict=True))
        if not fits or self.batch < 1:
            raise UsageError(f"Sliding windows need 0 < stride <= crop and batch >= 1, got {self}.")


@dataclass(frozen=True)
class Averaged:
    """The network sees the whole image at several scales; probabilities are averaged at the size of the label.

    Images and logits are resized with aligned corners.

    Attributes:
        scales: factors on the sides of the image, which are rounded down.
        flip: whether it sees each one mirrored, too.

    Source: test script of FADA, arXiv 2007.09222.
    """

    scales: tuple[float, ...]
    flip: bool = False


Mode = Whole | Sliding | Averaged


@runtime_checkable
class Choosy(Protocol):
    """A network that does not take images of every size."""

    def taken_size(self, size: Size) -> Size:
        """The smallest size that it takes and that holds an image of ``size``."""


def taken_size(network: nn.Module, size: Size) -> Size:
    """The size that an image of ``size`` is padded to before the network sees it; `Choosy` networks say which."""
    return network.taken_size(size) if isinstance(network, Choosy) else size


def resize(logits: Tensor, size: Size, aligned: bool = False) -> Tensor:
    """Bilinear resize, with or without aligned corners; unchanged when the size fits already.

    Shape: ``(B, C, h, w)`` to ``(B, C, *size)``.
    """
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, size, mode="bilinear", align_corners=aligned)


@torch.no_grad()
def predict(network: nn.Module, image: Tensor, mode: Mode) -> Tensor:
    """Logits at the size of the image. The network should be in evaluation mode.

    Shape: ``(1, 3, H, W)`` to ``(1, C, H, W)``.
    """
    if isinstance(mode, Averaged):
        return averaged_probability(network, image, mode, _size(image)).log()
    return resize(_coarse(network, image, mode), _size(image), _aligned(mode))


def segment(network: nn.Module, image: Tensor, mode: Mode, size: Size) -> Tensor:
    """Predicted train ids at the size of the label file: `segment_to` one size."""
    (found,) = segment_to(network, image, mode, [size])
    return found


@torch.no_grad()
def segment_to(network: nn.Module, image: Tensor, mode: Mode, sizes: Sequence[Size]) -> list[Tensor]:
    """Predicted train ids at several sizes, for which the network runs once; `Averaged` runs it once per size.

    Equal to `predict`, `resize` and argmax over the classes, but one class at a time, so that the logits at
    full size (160 MB for 19 classes at 2048x1024) never exist.

    Shape: ``(1, 3, H, W)`` to ``(*size,)`` uint8 each.
    """
    if isinstance(mode, Averaged):
        averages = (averaged_probability(network, image, mode, size) for size in sizes)
        return [average.argmax(dim=1)[0].to(torch.uint8) for average in averages]
    coarse, aligned = _coarse(network, image, mode), _aligned(mode)
    return [resized_argmax(coarse, *_steps_to(size, image, mode), aligned=aligned)[0] for size in sizes]


@torch.no_grad()
def segment_confidently(network: nn.Module, image: Tensor, mode: Mode, size: Size) -> tuple[Tensor, Tensor]:
    """The train ids of `segment`, and the probability that the network gives to each.

    Shape: ``(1, 3, H, W)`` to ``(*size,)`` uint8 and ``(*size,)`` float in [0, 1].
    """
    if isinstance(mode, Averaged):
        probability = averaged_probability(network, image, mode, size)
        ids = probability.argmax(dim=1, keepdim=True)
        return ids[0, 0].to(torch.uint8), probability.gather(1, ids)[0, 0]
    logits, sizes, aligned = _coarse(network, image, mode), _steps_to(size, image, mode), _aligned(mode)
    winner = resized_argmax(logits, *sizes, aligned=aligned)
    return winner[0], resized_confidence(logits, winner, *sizes, aligned=aligned)[0]


@torch.no_grad()
def probability(network: nn.Module, image: Tensor, mode: Mode, size: Size) -> Tensor:
    """Class probabilities at the size of the label file; their argmax is what `segment` gives.

    Shape: ``(1, 3, H, W)`` to ``(C, *size)``.
    """
    if isinstance(mode, Averaged):
        return averaged_probability(network, image, mode, size)[0]
    logits = _coarse(network, image, mode)
    for step in _steps_to(size, image, mode):
        logits = resize(logits, step, _aligned(mode))
    return logits.softmax(dim=1)[0]


def averaged_probability(network: nn.Module, image: Tensor, mode: Averaged, size: Size) -> Tensor:
    """Class probabilities, averaged over scales and mirror images.

    Shape: ``(1, 3, H, W)`` to ``(1, C, *size)``.
    """
    height, width = _size(image)
    total = image.new_zeros(())
    for scale in mode.scales:
        scaled = resize(image, (max(int(height * scale), 1), max(int(width * scale), 1)), aligned=True)
        views = torch.cat([scaled, scaled.flip(3)]) if mode.flip else scaled
        probability = resize(_logits(network, views, aligned=True), size, aligned=True).softmax(dim=1)
        if mode.flip:
            probability = (probability[:1] + probability[1:].flip(3)) / 2
        total = total + probability
    return total / len(mode.scales)


def resized_argmax(logits: Tensor, *sizes: Size, aligned: bool = False) -> Tensor:
    """Argmax over the classes after resizing to each of ``sizes`` in turn; on a tie the lower id.

    Shape: ``(B, C, h, w)`` to ``(B, *sizes[-1])`` uint8.
    """
    planes = _planes(logits, sizes, aligned)
    best = next(planes).clone()
    winner = torch.zeros_like(best, dtype=torch.uint8)
    for index, rival in enumerate(planes, start=1):
        winner.masked_fill_(rival > best, index)
        torch.maximum(best, rival, out=best)
    return winner[:, 0]


def resized_confidence(logits: Tensor, winner: Tensor, *sizes: Size, aligned: bool = False) -> Tensor:
    """Probability (softmax) of the class ``winner`` after resizing to each of ``sizes`` in turn.

    Shape: ``(B, C, h, w)`` and ``(B, *sizes[-1])`` uint8 to ``(B, *sizes[-1])`` float.
    """
    best = total = logits.new_full((winner.shape[0], 1, *winner.shape[1:]), -math.inf)
    for index, plane in enumerate(_planes(logits, sizes, aligned)):
        best = torch.where(winner[:, None] == index, plane, best)
        total = torch.logaddexp(total, plane)
    return (best - total).exp_().clamp_(max=1)[:, 0]


def _planes(logits: Tensor, sizes: Sequence[Size], aligned: bool) -> Iterator[Tensor]:
    """The logits of one class after the other, resized. Shape: ``(B, 1, *sizes[-1])`` each."""
    for index in range(logits.shape[1]):
        plane = logits[:, index : index + 1]
        for size in sizes:
            plane = resize(plane, size, aligned)
        yield plane


def windows(image: Size, crop: Size, stride: Size) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window, left to right, then top to bottom."""
    columns = list(_steps(image[1], crop[1], stride[1]))
    for rows in _steps(image[0], crop[0], stride[0]):
        for column in columns:
            yield rows, column


def _steps(length: int, crop: int, stride: int) -> Iterator[slice]:
    for step in range(max(length - crop + stride - 1, 0) // stride + 1):
        stop = min(step * stride + crop, length)
        yield slice(max(stop - crop, 0), stop)


def _coarse(network: nn.Module, image: Tensor, mode: Whole | Sliding) -> Tensor:
    """Logits before the last resize: at the network's resolution, or averaged over windows."""
    if isinstance(mode, Sliding):
        return _slide(network, image, mode)
    height, width = (side // mode.multiple * mode.multiple or side for side in _size(image))
    if (height, width) != _size(image):
        return _slide(network, image, Sliding((height, width), (height, width)))
    return _logits(network, image, mode.aligned)


def padded_logits(
    forward: Callable[[Tensor], Tensor], image: Tensor, taken: Size, aligned: bool = False
) -> Tensor:
    """Logits as a network gives them, or, where it takes another size than the image's, at the size of the image.

    Shape: ``(B, 3, H, W)`` to ``(B, C, h, w)``; ``taken`` is that of `taken_size`.
    """
    height, width = _size(image)
    if taken == (height, width):
        return forward(image)
    padded = functional.pad(image, (0, taken[1] - width, 0, taken[0] - height), mode="replicate")
    return resize(forward(padded), taken, aligned)[..., :height, :width]


def _logits(network: nn.Module, image: Tensor, aligned: bool = False) -> Tensor:
    """Logits of a network."""
    return padded_logits(
        lambda seen: _finite(network(seen)), image, taken_size(network, _size(image)), aligned
    )


def _finite(logits: Tensor) -> Tensor:
    """The logits; a RunStateError if one is NaN or infinite: the most likely class would be any."""
    if not bool(logits.amax() < math.inf):
        raise RunStateError(
            "The network gives scores that are no finite numbers, so its predictions mean nothing. Its training has "
            "diverged, or its weights are damaged: train it again with a lower learning_rate."
        )
    return logits


def _steps_to(size: Size, image: Tensor, mode: Mode) -> tuple[Size, ...]:
    """Sizes to which logits are resized in turn: first that of the image, or directly that of the label."""
    return (size,) if _aligned(mode) or isinstance(mode, Direct) else (_size(image), size)


def _aligned(mode: Mode) -> bool:
    return isinstance(mode, Whole) and mode.aligned


def _slide(network: nn.Module, image: Tensor, mode: Sliding) -> Tensor:
    height, width = _size(image)
    places = list(windows((height, width), mode.crop, mode.stride))
    total: Tensor | None = None
    count = image.new_zeros((1, 1, height, width))
    for start in range(0, len(places), mode.batch):
        group = places[start : start + mode.batch]
        crops = torch.cat([image[:, :, rows, columns] for rows, columns in group])
        logits = resize(_logits(network, crops), _size(crops))
        if mode.probabilities:
            logits = logits.softmax(dim=1)
        if total is None:
            total = logits.new_zeros((1, logits.shape[1], height, width))
        for (rows, columns), window in zip(group, logits, strict=True):
            total[0, :, rows, columns] += window
            count[:, :, rows, columns] += 1
    if total is None:
        raise UsageError(f"No window fits an image of {height}x{width} pixels.")
    average = total / count
    return average.clamp_min(torch.finfo(average.dtype).tiny).log() if mode.probabilities else average


def _size(image: Tensor) -> Size:
    return int(image.shape[-2]), int(image.shape[-1])
