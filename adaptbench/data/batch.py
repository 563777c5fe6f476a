"""What a training step sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import Tensor

from adaptbench.draws import Draws


@dataclass(frozen=True)
class Images:
    """Images of one domain, called ``names``.

    Attributes:
        image: in the network's normalisation and order of channels (`NetworkSpec`), float32 ``(B, 3, H, W)``.
        trusted: where pseudo-labels may be used, uint8 ``(B, 1, H, W)``: 1 = yes, 0 = no, 255 = padded; None
            where the method asks for no margins.
        loaded: the same before they were moved to a GPU; None where they were not.
    """

    image: Tensor
    names: tuple[str, ...]
    trusted: Tensor | None = field(default=None, kw_only=True)
    loaded: Self | None = field(default=None, kw_only=True, repr=False)

    def map(self, change: Callable[[Tensor], Tensor], **others: Any) -> Self:
        """The same images with changed tensors, and with other values of what is no tensor."""
        changed: dict[str, Any] = {k: change(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **changed, **others)

    @property
    def on_cpu(self) -> Self:
        """The images in the memory of the CPU, which reads them there without waiting for a GPU."""
        return self if self.loaded is None else self.loaded


@dataclass(frozen=True)
class LabelledImages(Images):
    """Images with labels: train ids, int64 ``(B, 1, H, W)``; 255 = ignore."""

    label: Tensor


@dataclass(frozen=True)
class Batch:
    """One training iteration's data.

    Attributes:
        iteration: counted from 0 within the stage.
        draws: keyed random generators of this iteration.
        labelled: of the source (under the oracle tag: of the target).
        target: None for methods that use none.
    """

    iteration: int
    draws: Draws
    labelled: LabelledImages
    target: Images | None

    def pin_memory(self) -> Batch:
        """The batch in memory that a GPU copies from while the CPU goes on; torch's DataLoader calls it."""
        target = None if self.target is None else self.target.map(Tensor.pin_memory)
        return replace(self, labelled=self.labelled.map(Tensor.pin_memory), target=target)

    @property
    def source(self) -> LabelledImages:
        """The labelled images, by the name the papers use."""
        return self.labelled
