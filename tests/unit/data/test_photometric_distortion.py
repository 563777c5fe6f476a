"""Equal bits as mmsegmentation's transform for equal draws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from adaptbench.data.photometric_distortion import Distortion, distort, draw_distortion
from adaptbench.networks import mmcv_ops

mmcv_ops.install()

from mmseg.datasets.transforms import transforms as reference  # noqa: E402

IMAGE = np.random.default_rng(0).integers(256, size=(23, 31, 3), dtype=np.uint8)


class Scripted:
    """Draws in the reference's order."""

    def __init__(self, draw: Distortion) -> None:
        contrast = self._step(draw.contrast)
        self._values: Iterator[Any] = iter(
            [
                *self._step(draw.brightness),
                int(draw.contrast_first),
                *(contrast if draw.contrast_first else []),
                *self._step(draw.saturation),
                *self._step(draw.hue),
                *([] if draw.contrast_first else contrast),
            ]
        )

    @staticmethod
    def _step(value: float | None) -> list[float]:
        return [0] if value is None else [1, value]

    def randint(self, *_: int) -> Any:
        return next(self._values)

    uniform = randint


@pytest.mark.parametrize("steps", list(product([False, True], repeat=5)), ids=str)
def test_the_reference_gives_equal_bits(steps: tuple[bool, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Distortion(
        brightness=-17.3 if steps[0] else None,
        contrast=1.31 if steps[1] else None,
        contrast_first=steps[2],
        saturation=0.62 if steps[3] else None,
        hue=-11 if steps[4] else None,
    )
    monkeypatch.setattr(reference, "random", Scripted(draw))
    results = reference.PhotoMetricDistortion().transform({"img": IMAGE[..., ::-1].copy()})
    np.testing.assert_array_equal(distort(IMAGE, draw), results["img"][..., ::-1])


def test_draws_stay_in_range_and_use_every_step() -> None:
    draws = [draw_distortion(np.random.default_rng(seed)) for seed in range(200)]
    for name, low, high in (("brightness", -32, 32), ("contrast", 0.5, 1.5), ("saturation", 0.5, 1.5)):
        values = [getattr(draw, name) for draw in draws]
        drawn = [value for value in values if value is not None]
        assert 60 < len(drawn) < 140 and low <= min(drawn) and max(drawn) < high
    hues = {draw.hue for draw in draws} - {None}
    assert hues <= set(range(-18, 18)) and len(hues) > 20
    assert {draw.contrast_first for draw in draws} == {False, True}


def test_nothing_drawn_changes_nothing() -> None:
    np.testing.assert_array_equal(distort(IMAGE, Distortion()), IMAGE)
