"""Looking at a network in the middle of its training without a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within the block the network is in evaluation mode, in which it draws nothing and keeps its statistics."""
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was
