"""Recorded random decisions in the place of random generators.

The production code draws as always; what its generators return is what the reference drew. Draws from torch
generators (colour jitter, block masks, style weights) are replaced as a whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from unittest import mock

import numpy as np
import torch

from adaptbench.adaptation import strong_augment
from adaptbench.adaptation.color_jitter import JitterDraw, JitterStrength
from adaptbench.adaptation.masking import grid_size
from adaptbench.draws import Draws
from methods import daformer_dg, mic

from .case import Array, Case
from .trajectory_settings import is_generalisation

Decision = Mapping[str, Any]


class RecordedDraws(Draws):
    """The draws of one recorded iteration, taken kind by kind in the recorded order.

    Args:
        case: the trajectory.
        iteration: the iteration, counted from 0.
    """

    def __init__(self, case: Case, iteration: int) -> None:
        super().__init__(0, iteration)
        decisions: Sequence[Decision] = case.json["random_decisions"][iteration]
        self.__dict__["_case"] = case
        unused = is_generalisation(case) and "python_uniform"  # drawn by the reference, and used for nothing
        self.__dict__["_left"] = [
            d for d in decisions if not _is_whole_image(d, case) and d["kind"] != unused
        ]

    def numpy(self, purpose: str) -> np.random.Generator:
        """A stand-in for a generator that returns the next recorded values."""
        divisor = cast("Case", self.__dict__["_case"]).hyper("model").get("crop_coord_divisible", 1)
        return cast("np.random.Generator", _Scripted(self, divisor))

    def take(self, kind: str) -> Decision:
        """The next recorded decision of a kind.

        Raises:
            AssertionError: the reference drew none.
        """
        left: list[Decision] = self.__dict__["_left"]
        for position, decision in enumerate(left):
            if decision["kind"] == kind:
                return left.pop(position)
        raise AssertionError(f"iteration {self.iteration}: {kind} is drawn more often than recorded")

    def next_is(self, kind: str, other: Decision) -> bool:
        """Whether another decision of a kind was drawn in the same phase as ``other``."""
        left: list[Decision] = self.__dict__["_left"]
        return any((d["kind"], d["during"]) == (kind, other["during"]) for d in left)

    def array(self, kind: str) -> torch.Tensor:
        """The next recorded array of a kind."""
        return cast("Case", self.__dict__["_case"]).tensor(self.take(kind)["value"])

    def finish(self) -> None:
        """Checks that everything was drawn.

        Raises:
            AssertionError: the reference drew more.
        """
        left = [decision["kind"] for decision in self.__dict__["_left"]]
        assert not left, f"iteration {self.iteration}: recorded, but not drawn: {left}"

    @contextlib.contextmanager
    def instead_of_torch(self) -> Iterator[None]:
        """Within the block, draws from torch generators are the recorded ones."""
        with (
            mock.patch.object(strong_augment, "draw_jitter", self._jitter),
            mock.patch.object(mic, "draw_blocks", self._blocks),
            mock.patch.object(daformer_dg, "draw_style_weights", self._style_weights),
        ):
            yield

    def _blocks(
        self, batch: int, image_size: tuple[int, int], block: int, generator: torch.Generator
    ) -> torch.Tensor:
        drawn = self.array("mask_rand")
        assert drawn.shape == (batch, 1, *grid_size(image_size, block))
        return drawn

    def _style_weights(
        self, batch: int, number: int, concentration: float, generator: np.random.Generator
    ) -> torch.Tensor:
        drawn = self.array("dirichlet")
        assert drawn.shape == (batch, number)
        return drawn

    def _jitter(self, strength: float | JitterStrength, batch: int, generator: torch.Generator) -> JitterDraw:
        value = self.take("jitter")["value"]
        factors = {
            name: torch.tensor(value[f"{name}_factor"])
            for name in ("brightness", "contrast", "saturation", "hue")
        }
        assert all(len(factor) == batch for factor in factors.values()), f"{batch} images: {value}"
        return JitterDraw(**factors, order=tuple(value["order"]))


class _Scripted:
    """Stands in for a NumPy generator."""

    def __init__(self, draws: RecordedDraws, divisor: int) -> None:
        self._draws = draws
        self._divisor = divisor
        self._offsets: list[int] = []

    def random(self, size: int | None = None) -> float | list[float]:
        """Decisions to jitter and to blur; the reference draws the latter only if blur is enabled."""
        assert size == 2, f"two decisions are drawn at once, not {size}"
        jitter = self._draws.take("python_uniform")
        blur = self._draws.take("python_uniform") if self._draws.next_is("python_uniform", jitter) else None
        return [float(jitter["value"]), 0.0 if blur is None else float(blur["value"])]

    def choice(self, candidates: int, size: int, replace: bool) -> Array:
        """Indices of classes to paste."""
        indices = np.array(self._draws.take("class_choice")["value"])
        assert (len(indices), replace) == (size, False) and indices.max() < candidates
        return indices

    def uniform(self, low: float, high: float) -> float:
        """Width of a blur."""
        sigma = float(self._draws.take("blur_sigma")["value"])
        assert low <= sigma <= high
        return sigma

    def integers(self, low: int, high: int) -> int:
        """Row offset, then column offset of a detail crop, in steps of so many pixels as the case says."""
        if not self._offsets:
            top, _, left, _ = self._draws.take("hr_crop_box")["value"]
            assert top % self._divisor == left % self._divisor == 0
            self._offsets = [top // self._divisor, left // self._divisor]
        offset = self._offsets.pop(0)
        assert low <= offset < high, f"offset {offset} outside {low}..{high - 1}"
        return offset


def _is_whole_image(decision: Decision, case: Case) -> bool:
    """Whether a box is the whole image, for which nothing is drawn."""
    _, height, width = case.hyper("batch_and_image_size")
    return decision["kind"] == "hr_crop_box" and decision["value"] == [0, height, 0, width]
