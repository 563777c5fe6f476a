"""Keyed random draws: every draw is a function of (seed, stage, iteration, purpose).

No generator state is ever saved: a resumed training asks for the same key and gets the same draw, and
adding a draw for one purpose changes no other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch


def derive_seed(*key: object) -> int:
    """A 63-bit seed from a key; equal keys give equal seeds on every machine."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Draws:
    """Random generators of one training iteration.

    Attributes:
        stage_seed: seed of the stage, derived from its hash.
        iteration: the iteration, counted from 0.
    """

    stage_seed: int
    iteration: int

    def seed(self, purpose: str) -> int:
        """The seed behind the draws for ``purpose``."""
        return derive_seed(self.stage_seed, self.iteration, purpose)

    def numpy(self, purpose: str) -> np.random.Generator:
        """A fresh NumPy generator for ``purpose``; asking twice gives the same draws twice."""
        return np.random.default_rng(self.seed(purpose))

    def torch(self, purpose: str) -> torch.Generator:
        """A fresh CPU torch generator for ``purpose``; asking twice gives the same draws twice."""
        return torch.Generator().manual_seed(self.seed(purpose))
