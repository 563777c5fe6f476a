"""What a user may say of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptbench.errors import UsageError
from adaptbench.execution.slurm.cluster import Cluster, load


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return path


def test_sizes_take_the_place_of_what_is_said_for_all(tmp_path: Path) -> None:
    text = (
        "partition: gpu\ntime: 1d\nby_memory:\n  12: {gres: gpu:small}\n  80: {partition: large, time: 90m}\n"
    )
    cluster = load(written(tmp_path, text))
    small, large = cluster.ask(12), cluster.ask(80)
    assert (small.partition, small.gres, small.minutes) == ("gpu", "gpu:small", 1440)
    assert (large.partition, large.gres, large.minutes) == ("large", "gpu", 90)
    assert load(None) == Cluster() == Cluster().ask(None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin: gpu", "line 1, key 'partitoin': there is no such key. Did you mean 'partition'"),
        ("time: 24:00:00", "line 1, key 'time': Input should be a valid string, found 86400"),
        ("time: '30'", "give a duration with its unit"),
        ("time: 2m", "workers stop 120 seconds before it: give more"),
        ("max_parallel: 0", "key 'max_parallel': Input should be greater than or equal to 1"),
        ("partition: gpu --exclusive", "key 'partition': String should match pattern"),
        ("options: [exclusive]", "key 'options.0': String should match pattern"),
        ("by_memory: {12: {gpu: a100}}", "key 'by_memory.12.gpu': there is no such key"),
        ("by_memory: {0: {}}", "Input should be greater than 0"),
    ],
)
def test_wrong_files_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(written(tmp_path, text))
    assert message in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read"):
        load(tmp_path / "none.yaml")
