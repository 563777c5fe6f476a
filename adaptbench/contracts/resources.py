"""What the jobs of a method need, as its paper or its authors say; finished runs tell more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Of a training with published sizes (profile paper), on GPUs.

    Attributes:
        gpus: that train one job together, unless --devices says more.
        memory: of each of them, or of the card it was trained on; None = not stated. Units: GB.
    """

    gpus: int = 1
    memory: float | None = None
