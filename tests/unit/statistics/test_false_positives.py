"""The A/A study itself: it counts what it should, on made-up boards and on finished seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptbench.errors import RunStateError
from adaptbench.records.average import miou_only
from adaptbench.statistics.bootstrap import bootstrap
from benchmarks.statistics.false_positives import splits_of, study
from benchmarks.statistics.world import World


def test_few_false_positives_where_the_shortcuts_find_many() -> None:
    world, rng = World(), np.random.default_rng(0)
    counts = study((world.board(2, 5, rng) for _ in range(40)), world.clusters, resamples=200)
    boards, pairs, mean_images, checkpoints = counts.values()
    assert boards.of == pairs.of == mean_images.of == checkpoints.of == 40
    assert boards.found <= pairs.found <= 5  # 2 expected at most
    assert min(mean_images.found, checkpoints.found) > 10


def test_the_world_varies_as_measured() -> None:
    """Standard deviations of the mIoU on MiniCity: over seeds 0.5 to 1.8, over images 0.6 to 0.8."""
    rng, world = np.random.default_rng(0), World(cities=72, images=1)
    made = [
        bootstrap({"x": world.board(1, 5, rng)[0]}, world.clusters, miou_only, resamples=200)["x"]
        for _ in range(10)
    ]
    assert 0.5 < np.mean([one.by_seed.std(ddof=1) for one in made]) < 1.8
    assert 0.6 < np.mean([one.images.std() for one in made]) < 0.9


def test_finished_seeds_have_to_be_ten(tmp_path: Path) -> None:
    with pytest.raises(RunStateError, match="holds 0 seeds of dacs; an A/A study needs 10"):
        splits_of(tmp_path, "dacs", 10)
