"""Snapshots of methods that complete what is scored at the end of a training: PixMatch and EHTDI."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from mmengine.hooks import Hook
from tiny_training import Stream, build

from adaptbench.contracts.method import Method
from adaptbench.training import checkpoint, snapshots
from adaptbench.training.loop import TrainingLoop
from methods.ehtdi import EHTDI
from methods.pixmatch import PixMatch

LENGTH = 2
#: The schedule is that of a longer training, so that one that ends earlier takes the same steps.
SETTINGS = {"network": "deeplabv2-multi-mini", "crop": 64, "batch_size": 1, "iterations": 10}


def trained(method: type[Method], length: int, folder: Path, *hooks: Hook) -> str:
    """The digest of everything that a training ends with."""
    folder.mkdir()
    loop = TrainingLoop(
        build(method, **SETTINGS),
        cast("Any", Stream(method, length)),
        folder,
        device=torch.device("cpu"),
        workers=0,
        checkpoint_every=100,
        hooks=hooks,
    )
    loop.run()
    return checkpoint.digest(loop.model_state())


@pytest.mark.parametrize("method", [EHTDI, PixMatch])
def test_a_snapshot_is_what_the_training_would_have_ended_with(method: type[Method], tmp_path: Path) -> None:
    end = trained(method, LENGTH, tmp_path / "with", snapshots.Snapshots())
    files = [snapshots.file_of(tmp_path / "with", iterations) for iterations in snapshots.due(LENGTH)]
    kept = [checkpoint.digest(checkpoint.load(file)[0]) for file in files]
    shorter = [trained(method, length, tmp_path / str(length)) for length in snapshots.due(LENGTH)]
    assert snapshots.due(LENGTH) == [1, 2]
    assert kept == shorter
    assert kept[-1] == end, "with the bits that are scored, and a training that snapshots do not change"
