"""Statistics and debug pictures of a method's steps change nothing in its training."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method
from adaptbench.contracts.plugins import Plugin
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.drawing.contact_sheet import GAP, MARGIN, PANEL
from adaptbench.training import checkpoint
from adaptbench.training.class_shares import ClassShares
from adaptbench.training.debug_pictures import DebugPictures
from adaptbench.training.watch import Watch

from .steps import batch_of, build, logged, settings_of


@pytest.fixture
def method_class(method: Plugin) -> type[Method]:
    loaded: type[Method] = plugins.load(method)
    return loaded


def _trained(method: Method, iterations: int, *hooks: Watch) -> list[dict[str, torch.Tensor]]:
    """What some iterations log, watched by ``hooks``."""
    logs = []
    for iteration in range(iterations):
        batch = batch_of(type(method), iteration)
        runner = SimpleNamespace(
            iter=iteration,
            max_iters=iterations,
            model=method,
            due=lambda every: True,
            stream=SimpleNamespace(normalisation=method.normalisation),
        )
        for hook in hooks:
            hook.before_train_iter(runner, iteration, batch)
        log = logged(method, iteration)
        before = (torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False))
        for hook in hooks:
            hook.after_train_iter(runner, iteration, batch, log)
        after = (torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False))
        assert torch.equal(before[0], after[0])
        assert repr(before[1:]) == repr(after[1:]), "a hook drew from a global generator"
        logs.append(log)
    return logs


def test_watching_changes_no_bit(method_class: type[Method], tmp_path: Path) -> None:
    for stage in method_class.stages(settings_of(method_class)):
        plain, watched = build(stage), build(stage)
        expected = _trained(plain, 2)
        modes = {name: module.training for name, module in plain.named_modules()}
        found = _trained(watched, 2, ClassShares(1), DebugPictures(1, tmp_path / stage.name, "test"))
        assert checkpoint.digest(watched.state_dict()) == checkpoint.digest(plain.state_dict())
        assert {name: module.training for name, module in watched.named_modules()} == modes
        assert not watched.observers
        for one, other in zip(expected, found, strict=True):
            assert {key: float(value) for key, value in one.items()} == {
                key: float(other[key]) for key in one
            }
        assert sorted(path.name for path in (tmp_path / stage.name).iterdir()) == ["000000.png", "000001.png"]


def test_what_it_shows_can_be_drawn(method_class: type[Method], tmp_path: Path) -> None:
    stage = method_class.stages(settings_of(method_class))[-1]
    method = build(stage)
    shown: list[str] = []
    method.observers.append(lambda group, parts: shown.extend(f"{group} {part}" for part in parts))
    log = _trained(method, 1, ClassShares(1), DebugPictures(1, tmp_path, "test"))[-1]
    columns = 3 + stage.method.uses_target_images
    columns += len({name for name in shown if name.split(" ")[1] not in ("weight", "confident", "mask")})
    with Image.open(tmp_path / "000000.png") as sheet:
        assert sheet.width == 2 * MARGIN + columns * (PANEL + GAP) - GAP
        assert sheet.height > 2 * PANEL
    if "pseudo confident" in shown:
        share, confident = log["pseudo.class_share"], log["pseudo.confident_class_share"]
        assert share.shape == confident.shape == (len(CITYSCAPES19),)
        assert float(share.sum()) == pytest.approx(1)
        assert bool((confident <= share).all())
    else:
        assert not [key for key in log if key.startswith("pseudo.")]
