"""A stage that starts from the network of an earlier one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from adaptbench.contracts.method import Stage
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import WeightsError
from adaptbench.execution.stages.planned import PlannedStage
from adaptbench.execution.stages.weights import build_method
from adaptbench.training import checkpoint, method_state
from methods.source_only import SourceOnly

TASK = Task("b", "uda", class_set("cityscapes19"), profile("mini"))
PLACE = cast("Any", SimpleNamespace(task=TASK))


def planned(name: str, network: str, folder: Path, start: PlannedStage | None = None) -> PlannedStage:
    settings = SourceOnly.Settings.model_validate({"network": network, "pretraining": "none"})
    return PlannedStage(Stage(name, SourceOnly, settings), "", folder, start)


@pytest.fixture
def first(tmp_path: Path) -> PlannedStage:
    entry = planned("source", "deeplabv2-mini", tmp_path)
    state = build_method(PLACE, entry, seed=1).state_dict()
    checkpoint.save(entry.weights, {f"method.{name}": tensor for name, tensor in state.items()}, {})
    return entry


def test_it_has_the_weights_of_that_network(first: PlannedStage, tmp_path: Path) -> None:
    start = build_method(PLACE, planned("adapt", "deeplabv2-mini", tmp_path, first), seed=2)
    earlier = build_method(PLACE, first, seed=1).student.state_dict()
    assert all(torch.equal(tensor, earlier[name]) for name, tensor in start.student.state_dict().items())


def test_another_network_is_refused(first: PlannedStage, tmp_path: Path) -> None:
    other = planned("adapt", "deeplabv2-multi-mini", tmp_path, first)
    match = r"weights\.safetensors does not fit stage 'adapt', which .* trains deeplabv2-multi-mini: it lacks"
    with pytest.raises(WeightsError, match=match):
        build_method(PLACE, other, seed=2)


def test_weights_of_another_training_in_its_folder_are_refused(first: PlannedStage, tmp_path: Path) -> None:
    swapped = planned("source", "deeplabv2-multi-mini", tmp_path)
    with pytest.raises(WeightsError, match=r"weights\.safetensors does not fit .*source_only"):
        build_method(PLACE, planned("adapt", "deeplabv2-multi-mini", tmp_path, swapped), seed=2)


def test_an_adapter_around_a_trained_encoder_is_written_with_it(tmp_path: Path) -> None:
    """What is fixed then are no start weights, which anybody could bring."""

    def stage(name: str, start: PlannedStage | None, **changes: Any) -> PlannedStage:
        settings = SourceOnly.Settings.model_validate({"network": "daformer-mini", **changes})
        return PlannedStage(Stage(name, SourceOnly, settings), "", tmp_path / name, start)

    (tmp_path / "source").mkdir()
    first = stage("source", None)
    trained = build_method(PLACE, first, seed=1)
    torch.nn.init.ones_(trained.student.get_parameter("backbone.block1.0.mlp.fc1.weight"))
    checkpoint.save(first.weights, method_state.full_state(trained), {})
    for start, whole in [(first, True), (None, False)]:
        method = build_method(PLACE, stage("adapt", start, adapter="frozen"), seed=2)
        tensors, facts = method_state.written_state(method, method_state.full_state(method))
        assert ("method.student.backbone.block1.0.mlp.fc1.weight" in tensors) is whole
        assert method_state.needs_start_weights(facts) is not whole
