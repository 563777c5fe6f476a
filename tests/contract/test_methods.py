"""What every method must keep; for its steps see test_trainings.py."""

from __future__ import annotations

import pytest

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.plugins import Plugin
from adaptbench.contracts.settings import Settings, resolve
from adaptbench.contracts.stream_method import PREFIX, StreamMethod
from adaptbench.networks.inference import Whole

from .steps import build, settings_of, task_of


@pytest.fixture
def method_class(method: Plugin) -> type[Method]:
    loaded: type[Method] = plugins.load(method)
    return loaded


@pytest.fixture
def stages(method_class: type[Method]) -> list[Stage]:
    return method_class.stages(settings_of(method_class))


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
        assert stage.trains or stage.start is not None, f"{stage.name} has no network to begin with"
        assert issubclass(stage.method, StreamMethod) or not stage.adapts
        if "oracle" in stage.method.tags:
            assert "oracle" in method_class.tags, (
                f"{stage.name} trains on target labels: add the tag 'oracle'"
            )


def test_the_last_stage_is_scored_and_alone_may_adapt(stages: list[Stage]) -> None:
    assert stages[-1].labeller is None, "the last stage is scored, and a labelling stage trains no network"
    assert all(not stage.adapts for stage in stages[:-1])


def test_a_method_that_adapts_says_how(method_class: type[Method], stages: list[Stage]) -> None:
    adapts = issubclass(method_class, StreamMethod)
    assert stages[-1].adapts is adapts
    if not adapts:
        return
    assert method_class.predictions in ("before", "after")
    assert not method_class.uses_target_images and "test-time" in method_class.tags
    given = method_class.Settings.model_validate({})
    own = {
        name.removeprefix(PREFIX) for name in method_class.Settings.model_fields if name.startswith(PREFIX)
    }
    assert method_class.Adaptation.model_fields.keys() == own
    assert method_class.adaptation(given) == method_class.Adaptation.model_validate(
        {name: getattr(given, PREFIX + name) for name in own}
    )
    network = build(stages[0]).scored_network().eval()
    found = method_class.start(network, method_class.adaptation(stages[-1].settings), Whole())
    assert found.parts() and found.network().state_dict().keys()


def test_a_stage_can_start_from_the_one_it_names(stages: list[Stage]) -> None:
    for stage in stages:
        if stage.start is not None:
            earlier = build(stages[stage.start]).scored_network()
            build(stage).student.load_state_dict(earlier.state_dict())
