"""What every study must keep."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method
from adaptbench.contracts.plugins import Plugin
from adaptbench.contracts.profiles import PROFILES
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.study import Study, load_study
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.synchronized_crop import synchronized
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws
from adaptbench.networks.inference import predict
from adaptbench.planning.plan import Plan

from .conftest import plugin_paths
from .distinct import Chosen, planned


@pytest.fixture
def declared(study: Plugin, registry: plugins.Registry) -> type[Study]:
    return load_study(registry, study.name)


@pytest.fixture
def extra(pytestconfig: pytest.Config) -> list[Path]:
    return plugin_paths(pytestconfig)


def plan_of(study: type[Study], profile: str, extra: list[Path]) -> Plan:
    return planned(study.name, profile, extra, seeds=(0, 1))


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_it_can_be_planned_and_its_variants_are_distinct(
    declared: type[Study], profile: str, extra: list[Path]
) -> None:
    plan = plan_of(declared, profile, extra)
    labels = [plan.variants[job.folder] for job in plan.jobs]
    assert sorted(labels) == sorted(2 * [variant.label for variant in declared.variants])
    groups = {(plan.variants[job.folder], job.spec.group_hash) for job in plan.jobs}
    assert len({group for _, group in groups}) == len(groups) == len(declared.variants)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_gives_no_network_of_another_size(
    declared: type[Study], profile: str, extra: list[Path]
) -> None:
    """Nor a published one where it has a small one in its place."""
    foreign = set(PROFILES[profile].networks)
    for job in plan_of(declared, profile, extra).jobs:
        assert job.spec.settings["network"] not in foreign


def test_what_a_variant_states_changes_something(declared: type[Study], extra: list[Path]) -> None:
    """A setting that equals the method's own would pretend a difference."""
    plan = plan_of(declared, "paper", extra)
    for job in plan.jobs:
        variant = declared.variant(plan.variants[job.folder])
        assert set(variant.settings) == set(job.spec.overrides), variant.label


def test_a_variant_takes_a_step_and_predicts(variant: Chosen) -> None:
    """One image, at the size of profile mini: crops, windows and networks of all variants have to fit together."""
    method, settings = variant[0], variant[1].model_copy(update={"batch_size": 1})
    torch.manual_seed(0)
    made = method(Task("contract", "uda", CITYSCAPES19, PROFILES["mini"]), settings).train()
    log = made.train_step(batch_of(method, settings), made.optimizers())
    assert all(math.isfinite(value) for value in log.values())
    with torch.no_grad():
        logits = predict(made.scored_network().eval(), torch.randn(1, 3, 128, 256), made.inference())
    assert logits.shape == (1, len(CITYSCAPES19), 128, 256)
    assert bool(logits.isfinite().all())


def batch_of(method: type[Method], settings: Settings) -> Batch:
    """Random images with labels in blocks, as the training stream would cut them."""
    sampling, crop = method.sampling(settings), settings.crop
    random = torch.Generator().manual_seed(0)
    images = torch.randn(2, settings.batch_size, 3, crop, crop, generator=random)
    blocks = torch.randint(len(CITYSCAPES19), (settings.batch_size, 1, 4, 4), generator=random)
    label = blocks.repeat_interleave(crop // 4, 2).repeat_interleave(crop // 4, 3)
    names = ("a",) * settings.batch_size
    trusted = torch.ones_like(label, dtype=torch.uint8) if sampling.margins else None
    target = Images(images[1], names, trusted=trusted) if method.uses_target_images else None
    batch = Batch(0, Draws(7, 0), LabelledImages(images[0], names, label), target)
    return batch if sampling.part is None else synchronized(batch, sampling.part)


def test_benchmarks_exist(declared: type[Study], registry: plugins.Registry) -> None:
    assert declared.benchmarks
    for name in declared.benchmarks:
        registry.find("benchmark", name)


def test_printed_values_are_percentages_of_one_kind(declared: type[Study]) -> None:
    printed = [variant.published for variant in declared.variants if variant.published is not None]
    assert all(0 < one.miou < 100 and (one.std is None or 0 <= one.std < 10) for one in printed)
    assert len({(one.class_set, one.split) for one in printed}) <= 1


def test_stated_differences_are_those_of_the_printed_values(declared: type[Study]) -> None:
    """Papers subtract before they round, so that a tenth may be missing."""
    for check in declared.checks:
        first, second = (declared.variant(label).published for label in (check.variant, check.minus))
        if check.published is not None and first is not None and second is not None:
            assert abs(first.miou - second.miou - check.published) < 0.11, check.claim
