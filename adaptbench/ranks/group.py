"""The ranks of a training: how they find each other, and what they agree about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

#: How long a rank waits for another, which may have a labelling pass or a snapshot to finish.
_PATIENCE = timedelta(hours=1)
_LOOPBACK = "lo"


@dataclass(frozen=True)
class Ranks:
    """A process among those that train one method.

    Attributes:
        rank: of this process; the one of rank 0 writes files.
        count: of the processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes what all compute."""
        return self.rank == 0

    def any(self, own: bool) -> bool:
        """Whether something holds on one of the ranks; all must ask, and all hear the same."""
        if self.count == 1:
            return own
        heard = torch.tensor([float(own)])
        distributed.all_reduce(heard, distributed.ReduceOp.MAX)
        return bool(heard.item())

    def wait(self) -> None:
        """Until all ranks have come here."""
        self.any(False)


ALONE = Ranks()


def meet(ranks: Ranks, place: Path, device: torch.device) -> None:
    """Waits for the other ranks on this machine, which meet at the file ``place``, new for every training."""
    if ranks.count == 1:
        return
    if "GLOO_SOCKET_IFNAME" not in os.environ and Path("/sys/class/net", _LOOPBACK).exists():
        os.environ["GLOO_SOCKET_IFNAME"] = _LOOPBACK
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(ranks.rank)
    distributed.init_process_group(
        backend, init_method=place.as_uri(), rank=ranks.rank, world_size=ranks.count, timeout=_PATIENCE
    )


def part() -> None:
    """Ends what `meet` began."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
