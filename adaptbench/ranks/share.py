"""A rank's share of a batch, and how shares become whole batches again, in both directions of differentiation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Share:
    """Which images of a batch a rank computes.

    Consecutive ones, as equally many as possible. If there are fewer images than ranks, all ranks compute all of
    them, and what they learn counts on the first rank alone.

    Attributes:
        rank: of this process, 0 or more.
        ranks: number of them.
        images: of the whole batch.
    """

    rank: int
    ranks: int
    images: int

    @property
    def repeated(self) -> bool:
        """Whether every rank computes all images."""
        return self.images < self.ranks

    @property
    def counts(self) -> bool:
        """Whether what this rank computes is learned from."""
        return not self.repeated or self.rank == 0

    def own(self, rank: int | None = None) -> range:
        """Numbers of the images of a rank, by default of this one."""
        if self.repeated:
            return range(self.images)
        rank = self.rank if rank is None else rank
        return range(rank * self.images // self.ranks, (rank + 1) * self.images // self.ranks)

    def blocks(self, rows: int) -> int:
        """How many times a tensor of ``rows`` holds this rank's images: styled copies follow the originals.

        Raises:
            ValueError: it holds no whole number of them.
        """
        blocks, rest = divmod(rows, len(self.own()))
        if rest or not blocks:
            raise ValueError(f"{rows} rows are no multiple of the {len(self.own())} images of a rank")
        return blocks

    def whole_rows(self, rows: int) -> int:
        """Of a tensor that has so many for this rank's images, the rows for all images."""
        return rows if self.repeated else self.blocks(rows) * self.images

    def own_rows(self, whole: Tensor) -> Tensor:
        """The rows of this rank's images in a tensor that holds all images, once or in several blocks."""
        if self.repeated:
            return whole
        own = self.own()
        blocks = whole.view(-1, self.images, *whole.shape[1:])[:, own.start : own.stop]
        return blocks.reshape(-1, *whole.shape[1:])

    def gathered(self, own: Tensor) -> Tensor:
        """The rows of all images from those of every rank."""
        if self.repeated:
            return own
        blocks = self.blocks(own.shape[0])
        most = max(len(self.own(rank)) for rank in range(self.ranks))
        sent = own.new_zeros(blocks, most, *own.shape[1:])
        sent[:, : len(self.own())] = own.view(blocks, -1, *own.shape[1:])
        received = [torch.empty_like(sent) for _ in range(self.ranks)]
        distributed.all_gather(received, sent)
        parts = [one[:, : len(self.own(rank))] for rank, one in enumerate(received)]
        return torch.cat(parts, dim=1).flatten(0, 1)


def split(whole: Tensor, share: Share) -> Tensor:
    """The rows of this rank; the gradient is put together from those of all ranks."""
    return _Split.apply(whole, share)  # type: ignore[no-any-return]


def join(own: Tensor, share: Share) -> Tensor:
    """The rows of all ranks; each takes the gradient of its own."""
    return _Join.apply(own, share)  # type: ignore[no-any-return]


def total(own: Tensor) -> Tensor:
    """The sum over all ranks, not differentiated."""
    summed = own.detach().clone()
    distributed.all_reduce(summed)
    return summed


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, whole: Tensor, share: Share) -> Tensor:
        context.share = share
        return share.own_rows(whole).clone() if share.repeated else share.own_rows(whole)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        share: Share = context.share
        return (total(gradient) if share.repeated else share.gathered(gradient.contiguous())), None


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, own: Tensor, share: Share) -> Tensor:
        context.share = share
        return own.clone() if share.repeated else share.gathered(own.contiguous())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        share: Share = context.share
        own = share.own_rows(gradient)
        return (own if share.counts else torch.zeros_like(own)), None
