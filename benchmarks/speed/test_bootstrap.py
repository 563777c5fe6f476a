"""10,000 resamples of seeds and images against a loop over resamples that adds up matrices.

Run with ``pytest benchmarks/speed/test_bootstrap.py --benchmark-only``: two methods with five seeds on 500 images of
three cities in 19 classes, the size of Cityscapes val. The loop does 200 of the 10,000 resamples; its time is to be
multiplied by 50.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from adaptbench.evaluation import metrics
from adaptbench.records.average import miou_only
from adaptbench.statistics.bootstrap import RESAMPLES, bootstrap
from adaptbench.statistics.resampling import Weights, image_weights, membership, unit_weights
from adaptbench.statistics.tallies import resampled, tally

Matrices = npt.NDArray[np.uint32]
LOOPED = 200
CITIES = ["frankfurt"] * 267 + ["lindau"] * 59 + ["munster"] * 174
GROUP = "bootstrap of two methods, 5 seeds, 500 images, 19 classes"


@pytest.fixture(scope="module")
def methods() -> dict[str, Matrices]:
    """Shape: per method ``(S, N, C, C)``."""
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 100_000, (5, 500, 19, 19), np.uint32) for name in "ab"}


def loop(methods: dict[str, Matrices], images: Weights, seeds: Weights) -> list[float]:
    """The difference in every resample, one after the other."""
    found = []
    for times, drawn in zip(images.astype(int), seeds.astype(int), strict=True):
        chosen, of_seeds = np.repeat(np.arange(len(times)), times), np.repeat(np.arange(len(drawn)), drawn)
        means = [
            np.mean([metrics.miou(counts[s, chosen].sum(axis=0, dtype=np.int64)) for s in of_seeds])
            for counts in methods.values()
        ]
        found.append(float(100 * (means[0] - means[1])))
    return found


def draws(count: int) -> tuple[Weights, Weights]:
    rng, members = np.random.default_rng(1), membership(CITIES)
    return image_weights(unit_weights(3, count, rng), members, rng), unit_weights(5, count, rng)


def test_both_find_the_same(methods: dict[str, Matrices]) -> None:
    images, seeds = draws(20)
    scores = [
        miou_only(resampled(images, np.stack([tally(seed) for seed in counts])))[..., 0]
        for counts in methods.values()
    ]
    ours = ((scores[0] - scores[1]) * seeds).sum(axis=1) / seeds.sum(axis=1)
    np.testing.assert_allclose(ours, loop(methods, images, seeds), rtol=1e-9)


@pytest.mark.benchmark(group=GROUP)
def test_ours_10000(benchmark: Any, methods: dict[str, Matrices]) -> None:
    def run() -> None:
        bootstrap(
            {name: np.stack([tally(seed) for seed in counts]) for name, counts in methods.items()},
            CITIES,
            miou_only,
        )

    benchmark.pedantic(run, rounds=3)
    assert RESAMPLES == 10_000


@pytest.mark.benchmark(group=GROUP)
def test_loop_200(benchmark: Any, methods: dict[str, Matrices]) -> None:
    benchmark.pedantic(loop, (methods, *draws(LOOPED)), rounds=1)
