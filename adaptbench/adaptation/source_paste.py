"""Source paste: pixels of a few source classes are pasted onto target images, as in EHTDI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptbench.adaptation.class_mix import ClassIds
from adaptbench.adaptation.seg_loss import IGNORE

#: Which class a draw means: ``shifted`` = one earlier in the list, as published; ``eligible`` = the class itself.
Pick: TypeAlias = Literal["shifted", "eligible"]

_IGNORE_SORTED_FIRST = -1


class Candidates(NamedTuple):
    """The label values of a source crop.

    Attributes:
        values: distinct values, ascending; ignored pixels count as one value, the lowest. Shape: int64 ``(n,)``.
        eligible: how many of them, the highest, are classes that may be pasted.
    """

    values: ClassIds
    eligible: int

    @property
    def number(self) -> int:
        """How many classes are picked: half of the eligible ones, rounded down, but one if there is only one."""
        return self.eligible if self.eligible < 2 else self.eligible // 2


def candidates(label: Tensor, first: int) -> Candidates:
    """The label values of a crop.

    The lowest class that may be pasted is ``first``: 5 as published, poles and everything after them.

    Shape: ``(1, H, W)`` or ``(H, W)`` int64, 255 = ignore.

    Source: docs/quirks.md#b1.
    """
    values = torch.unique(label.masked_fill(label == IGNORE, _IGNORE_SORTED_FIRST)).cpu().numpy()
    return Candidates(values.astype(np.int64), int((values >= first).sum()))


def draw_picks(found: Candidates, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draws which of the eligible classes are pasted. Shape: int64 ``(found.number,)``, 0 to ``found.eligible - 1``."""
    return generator.choice(found.eligible, found.number, replace=False).astype(np.int64)


def positions(found: Candidates, picks: Sequence[int] | ClassIds, rule: Pick = "shifted") -> ClassIds:
    """Where in the list of values the drawn classes stand; negative ones count from its end.

    As published, all are one place too early: the highest class is never pasted, and the value below the eligible ones
    may be, ignored pixels included.

    Source: docs/quirks.md#b2.
    """
    shift = 1 if rule == "shifted" else 0
    return np.asarray(picks, dtype=np.int64) + len(found.values) - found.eligible - shift


def picked_classes(found: Candidates, picks: Sequence[int] | ClassIds, rule: Pick = "shifted") -> ClassIds:
    """The label values that are pasted. Shape: int64 ``(number,)``, 255 = ignored pixels."""
    values = found.values[positions(found, picks, rule)]
    chosen: ClassIds = np.where(values == _IGNORE_SORTED_FIRST, IGNORE, values)
    return chosen
