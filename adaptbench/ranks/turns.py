"""Shares of a batch that one process computes one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from adaptbench.errors import UsageError
from adaptbench.ranks.share import Share
from adaptbench.ranks.whole_batch import Known, WholeBatch


class Turn(WholeBatch):
    """Within it dropout is that of the whole batch; batch norm is refused, as other shares are not there yet.

    Every turn of a pass has to begin with the same state of torch's generators.

    Args:
        share: what is computed.
        draws: what else was drawn for the whole batch, by the first turn of the pass.
        taken: how many of them this turn has used.
    """

    option, way_out = "--accumulate", "Leave it out"

    def __init__(self, share: Share, draws: list[Tensor], taken: int = 0) -> None:
        super().__init__(share)
        self._draws, self._taken = draws, taken
        self._drawing = False

    def again(self) -> Turn:
        """See `WholeBatch.again`."""
        return Turn(self._share, self._draws, self._taken)

    def drawn(self, draw: Callable[[int], Tensor], rows: int) -> Tensor:
        """See `WholeBatch.drawn`; drawn once for all turns."""
        if self._taken == len(self._draws):
            self._drawing = True
            self._draws.append(draw(self._share.whole_rows(rows)))
            self._drawing = False
        self._taken += 1
        return self._share.own_rows(self._draws[self._taken - 1])

    def _refuses(self, options: Mapping[str, Any]) -> bool:
        return not self._drawing

    def _by_the_batch(self, input: Tensor, known: Known, momentum: float, eps: float) -> Tensor:
        raise UsageError(
            "--accumulate: a network takes statistics of the batch by torch.nn.functional.batch_norm, and a part "
            "of the batch has others. Leave it out, or use torch's BatchNorm modules: a network with these is "
            "computed whole."
        )


def shares(count: int, images: int) -> list[Share]:
    """Of a batch, in turn; no more than it has images."""
    turns = min(count, images)
    return [Share(turn, turns, images) for turn in range(turns)]


def put_together(parts: Sequence[Tensor], taken: Sequence[Share]) -> Tensor:
    """The rows of all images from those of every turn."""
    blocks = taken[0].blocks(parts[0].shape[0])
    return torch.cat([part.reshape(blocks, -1, *part.shape[1:]) for part in parts], dim=1).flatten(0, 1)
