"""Going back to the start of a stream."""

from __future__ import annotations

import copy

from torch import nn
from torch.optim import Optimizer


class Restart:
    """Puts networks and optimisers back into the state that they had when this was made.

    Momentum and moments are part of it.
    """

    def __init__(self, *parts: nn.Module | Optimizer) -> None:
        self._states = [(part, copy.deepcopy(part.state_dict())) for part in parts]

    def __call__(self) -> None:
        """Everything is as it was."""
        for part, state in self._states:
            part.load_state_dict(copy.deepcopy(state))
