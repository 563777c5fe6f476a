"""Stages of IntraDA, its split, and what its labels are made with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_training import build, train

from adaptbench import networks
from adaptbench.adaptation.entropy_ranking import uncertainty
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import Settings, resolve
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.errors import DataError
from adaptbench.networks.inference import predict, segment
from methods.advent import AdvEnt
from methods.intrada import EntropyLabeller, IntraDA

KEY = ("gta5_to_cityscapes", "deeplabv2-multi-r101")
#: Least uncertain first; with the factor, "c" is first and "b" last.
FACTS = {
    "a": {"information": 0.02, "rare": 4, "factor": 1.0},
    "b": {"information": 0.01, "rare": 0, "factor": 4.0},
    "c": {"information": 0.03, "rare": 11, "factor": 0.5},
}


def resolved(method: type[Method], size: str, network: str, **overrides: Any) -> Settings:
    published = method.published[KEY] if network == KEY[1] else None
    recipe = networks.spec(network).recipe
    return resolve(method.Settings, profile(size), published, recipe, network, overrides).settings


@pytest.mark.parametrize(("size", "network"), [("paper", KEY[1]), ("mini", "deeplabv2-multi-mini")])
def test_the_first_stage_is_the_training_of_advent(size: str, network: str) -> None:
    settings = resolved(IntraDA, size, network)
    first, ranking, last = IntraDA.stages(settings)
    assert first.method is ranking.method is AdvEnt
    assert first.settings == ranking.settings == resolved(AdvEnt, size, network)
    assert isinstance(ranking.labeller, EntropyLabeller) and ranking.labeller.size == "input"
    assert (first.start, ranking.start, last.start, last.labels) == (None, 0, None, 1)
    assert last.method is IntraDA
    assert last.settings.model_dump(exclude={"iterations"}) == settings.model_dump(exclude={"iterations"})


def test_published_lengths() -> None:
    first, _, last = IntraDA.stages(resolved(IntraDA, "paper", KEY[1]))
    lengths = [(s.settings.iterations, s.settings.model_dump()["schedule_iterations"]) for s in (first, last)]
    assert lengths == [(120_001, 250_000), (120_000, 250_000)]


def test_both_trainings_follow_the_length_that_is_set() -> None:
    settings = resolved(IntraDA, "mini", "deeplabv2-multi-mini", iterations=7)
    assert [stage.settings.iterations for stage in IntraDA.stages(settings)] == [7, 7, 7]


def test_all_images_can_be_easy() -> None:
    settings = resolved(IntraDA, "mini", "deeplabv2-multi-mini", easy_share=1.0)
    assert IntraDA.partition(settings, FACTS) == (["b", "a", "c"], ["b", "a", "c"])
    (log,) = train(build(IntraDA, easy_share=1.0))
    assert log["loss_seg"] > 0
    assert not any("adversarial" in key or "discriminator" in key for key in log)


def test_it_can_start_from_the_first_network() -> None:
    settings = resolved(IntraDA, "mini", "deeplabv2-multi-mini", start="inter-domain")
    assert IntraDA.stages(settings)[2].start == 0


@pytest.mark.parametrize(("factor", "easy", "hard"), [(False, ["b", "a"], ["c"]), (True, ["c", "a"], ["b"])])
def test_easy_and_hard(factor: bool, easy: list[str], hard: list[str]) -> None:
    assert IntraDA.partition(IntraDA.Settings(rare_class_factor=factor), FACTS) == (easy, hard)


@pytest.mark.parametrize("share", [0.1, 0.33])
def test_too_few_images_to_split(share: float) -> None:
    with pytest.raises(DataError, match=r"3 target images cannot be split .* 0 would be easy"):
        IntraDA.partition(IntraDA.Settings(easy_share=share), FACTS)


def test_labels_and_facts_are_those_of_the_network() -> None:
    task = Task("test", "uda", CITYSCAPES19, profile("mini"))
    torch.manual_seed(0)
    method = AdvEnt(task, AdvEnt.Settings(network="deeplabv2-multi-mini", pretraining="none")).eval()
    image = torch.randn(1, 3, 48, 64)
    made = EntropyLabeller().label(method, image, (48, 64))
    assert made.label.dtype == torch.uint8
    assert torch.equal(made.label, segment(method.student, image, method.inference(), (48, 64)))
    assert made.facts["information"] == uncertainty(predict(method.student, image, method.inference()))
    assert made.facts["factor"] == pytest.approx((11 - made.facts["rare"]) / 11 + 0.5)
