"""What every method must keep."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method, Stage, total_loss
from adaptbench.contracts.plugins import Plugin
from adaptbench.contracts.settings import Settings, resolve
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.training import checkpoint

from .steps import batch_of, build, settings_of, step, task_of


@pytest.fixture
def method_class(method: Plugin) -> type[Method]:
    loaded: type[Method] = plugins.load(method)
    return loaded


@pytest.fixture
def stages(method_class: type[Method]) -> list[Stage]:
    return method_class.stages(settings_of(method_class))


@pytest.fixture
def trainings(stages: list[Stage]) -> list[Stage]:
    return [stage for stage in stages if stage.labeller is None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_it_is_a_method(method_class: type[Method]) -> None:
    assert issubclass(method_class, Method)
    assert isinstance(method_class.version, int) and method_class.version >= 1
    assert isinstance(method_class.uses_target_images, bool)


def test_target_labels_need_the_tag_oracle(method_class: type[Method]) -> None:
    assert method_class.supervision in ("source", "target")
    assert (method_class.supervision == "target") == ("oracle" in method_class.tags)


def test_settings_are_typed_described_and_valid(method_class: type[Method]) -> None:
    schema = method_class.Settings
    assert issubclass(schema, Settings)
    for name, field in schema.model_fields.items():
        assert not field.is_required(), f"{name} has no default"
        assert field.annotation is not None, f"{name} has no type"
        assert field.description, f"{name} has no description: Field({field.default!r}, description=...)"
    defaults = schema.model_validate({})
    assert schema.model_validate(schema.model_validate(defaults.model_dump()).model_dump()) == defaults
    assert schema.model_validate_json(defaults.model_dump_json()) == defaults


def test_published_settings_are_valid(method_class: type[Method], registry: plugins.Registry) -> None:
    for (benchmark, network), values in method_class.published.items():
        registry.find("benchmark", benchmark)
        networks.spec(network)
        resolve(method_class.Settings, task_of(method_class).profile, values, {}, network, {})


def test_stages_are_well_formed(method_class: type[Method], stages: list[Stage]) -> None:
    assert stages, "stages() is empty"
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names), f"two stages with one name: {names}"
    for index, stage in enumerate(stages):
        assert stage.name and "/" not in stage.name and not stage.name.startswith("."), stage.name
        assert issubclass(stage.method, Method)
        assert isinstance(stage.settings, stage.method.Settings)
        assert stage.start is None or 0 <= stage.start < index, f"stage {index} starts from {stage.start}"
        assert stage.labels is None or 0 <= stage.labels < index
        assert stage.labels is None or stages[stage.labels].labeller, f"stage {stage.labels} labels nothing"
        assert stage.labeller is None or stage.start is not None, f"{stage.name} has no network to label with"
        if "oracle" in stage.method.tags:
            assert "oracle" in method_class.tags, (
                f"{stage.name} trains on target labels: add the tag 'oracle'"
            )


def test_the_last_stage_is_a_training(stages: list[Stage]) -> None:
    assert stages[-1].labeller is None, "the last stage is scored, and a labelling stage trains no network"


def test_a_stage_can_start_from_the_one_it_names(stages: list[Stage]) -> None:
    for stage in stages:
        if stage.start is not None:
            earlier = build(stages[stage.start]).scored_network()
            build(stage).student.load_state_dict(earlier.state_dict())


def test_a_step_learns_something_finite(trainings: list[Stage]) -> None:
    for stage in trainings:
        method = build(stage)
        before = {name: p.detach().clone() for name, p in method.student.named_parameters()}
        log = step(method)
        assert log, "train_step() returns nothing to log"
        assert all(math.isfinite(value) for value in log.values()), log
        after = dict(method.student.named_parameters())
        assert not before or any(not torch.equal(before[name], after[name]) for name in before)
        assert all(bool(torch.isfinite(parameter).all()) for parameter in after.values())


def test_losses_come_in_groups_with_a_loss(trainings: list[Stage]) -> None:
    for stage in trainings:
        if stage.method.train_step is Method.train_step:
            losses = build(stage).train().losses(batch_of(stage.method))
            groups = [losses] if isinstance(losses, Mapping) else list(losses)
            assert groups, "losses() yields nothing"
            for group in groups:
                assert total_loss(group).ndim == 0


def test_equal_keys_give_equal_bits(trainings: list[Stage]) -> None:
    for stage in trainings:
        methods = [build(stage), build(stage)]
        logs = [[step(method, iteration) for iteration in (0, 1)] for method in methods]
        assert logs[0] == logs[1]
        first, second = (checkpoint.digest(method.state_dict()) for method in methods)
        assert first == second, "random draws must come from batch.draws (or torch's generator, in layers)"


def test_global_random_states_are_left_alone(trainings: list[Stage]) -> None:
    for stage in trainings:
        method = build(stage)
        python, state = random.getstate(), np.random.get_state(legacy=False)
        step(method)
        assert random.getstate() == python, "random.* was used: draw from batch.draws"
        assert repr(np.random.get_state(legacy=False)) == repr(state), (
            "np.random.* was used: draw from batch.draws"
        )


def test_the_scored_network_gives_logits(stages: list[Stage]) -> None:
    method = build(stages[-1])
    step(method)
    network = method.scored_network().eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 64, 96))
    assert logits.ndim == 4
    assert logits.shape[:2] == (1, len(CITYSCAPES19))
    assert logits.dtype == torch.float32
    assert bool(torch.isfinite(logits).all())


def test_the_state_survives_a_checkpoint(trainings: list[Stage], tmp_path: Path) -> None:
    for stage in trainings:
        method = build(stage)
        step(method)
        tensors: dict[str, torch.Tensor] = {}
        facts = checkpoint.flatten("method", dict(method.state_dict()), tensors)
        checkpoint.save(tmp_path / "file.safetensors", tensors, {"state": facts})
        loaded, read = checkpoint.load(tmp_path / "file.safetensors")
        other = build(stage, seed=1)
        other.load_state_dict(checkpoint.unflatten(read["state"], loaded))
        assert checkpoint.digest(other.state_dict()) == checkpoint.digest(method.state_dict())
        assert step(other, 1).keys() == step(method, 1).keys()
