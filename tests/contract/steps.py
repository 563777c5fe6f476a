"""A tiny problem, on which one step of any method can be run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import torch

from adaptbench import networks
from adaptbench.contracts.benchmark import Setting
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings, resolve
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.taxonomy import CITYSCAPES19, IGNORE
from adaptbench.draws import Draws

AnyImages = TypeVar("AnyImages", bound=Images)
#: A quarter of the size of profile mini: crops of 32 pixels, or what else a method asks for.
_SMALL = replace(profile("mini"), scale=0.0625)
SETTINGS: tuple[Setting, ...] = ("uda", "dg", "tta")
_TASKS = tuple(Task("contract", setting, CITYSCAPES19, _SMALL) for setting in SETTINGS)


def task_of(method: type[Method]) -> Task:
    """The first setting that makes sense for ``method``."""
    reasons = {task.setting: method.skip(task) for task in _TASKS}
    fitting = [task for task in _TASKS if reasons[task.setting] is None]
    assert fitting, f"{method.name} skips every setting: {reasons}"
    return fitting[0]


def settings_of(method: type[Method], **overrides: Any) -> Settings:
    """Its settings at the size of the tests."""
    mini = task_of(method).profile
    default = str(method.Settings.model_fields["network"].default)
    network = mini.networks.get(default, default)
    values = {"batch_size": 2, **overrides}
    return resolve(method.Settings, mini, None, networks.spec(network).recipe, network, values).settings


def build(stage: Stage, seed: int = 0) -> Method:
    """The method of ``stage`` with random weights."""
    torch.manual_seed(seed)
    return stage.method(task_of(stage.method), stage.settings)


def batch_of(method: type[Method], iteration: int = 0, crop: int | None = None) -> Batch:
    """Random images; labels in blocks, some of them to be ignored."""
    crop = crop or settings_of(method).crop
    random = torch.Generator().manual_seed(iteration)
    blocks = torch.randint(len(CITYSCAPES19) + 1, (2, 1, 4, 4), generator=random)
    blocks[blocks == len(CITYSCAPES19)] = IGNORE
    label = blocks.repeat_interleave(crop // 4, 2).repeat_interleave(crop // 4, 3)
    images = torch.randn(2, 2, 3, crop, crop, generator=random)
    target = Images(images[1], ("c", "d")) if method.uses_target_images else None
    return Batch(iteration, Draws(7, iteration), LabelledImages(images[0], ("a", "b"), label), target)


def double(batch: Batch) -> Batch:
    """The batch with images in float64."""
    target = None if batch.target is None else _double(batch.target)
    return replace(batch, labelled=_double(batch.labelled), target=target)


def _double(images: AnyImages) -> AnyImages:
    return replace(images, image=images.image.double())


def step(method: Method, iteration: int = 0) -> dict[str, float]:
    """One training iteration, as the training loop does it, and what it logs."""
    return {key: float(value) for key, value in logged(method, iteration).items()}


def logged(method: Method, iteration: int) -> dict[str, torch.Tensor]:
    """The same; what it logs as tensors."""
    optimizers = method.optimizers()
    batch = batch_of(type(method), iteration)
    torch.manual_seed(batch.draws.seed("network"))
    method.train()
    log = method.train_step(batch, optimizers)
    for key, value in log.items():
        assert isinstance(value, torch.Tensor), f"{key} is a {type(value).__name__}, not a tensor"
        assert value.numel() == 1, f"{key} has shape {tuple(value.shape)}; log scalars"
        assert not value.requires_grad, f"{key} is not detached"
    return log


def differences(
    found: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]],
    expected: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]],
) -> dict[str, float]:
    """Largest difference of every tensor of a state, and of all logged values, as a share of the largest value."""
    (log, state), (expected_log, expected_state) = found, expected
    assert (log.keys(), state.keys()) == (expected_log.keys(), expected_state.keys())
    each = {name: _difference(state[name], tensor) for name, tensor in expected_state.items()}
    return {**each, "log": max((_difference(log[key], expected_log[key]) for key in log), default=0.0)}


def _difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.double().nan_to_num(nan=-1.0), expected.double().nan_to_num(nan=-1.0)
    if not expected.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
