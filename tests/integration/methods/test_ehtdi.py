"""PixMatch and EHTDI beyond their recorded values: options, stages, and what is scored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import build, require_effect, train

from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.execution.job_context import open_job_context
from adaptbench.execution.stages.data import training_data
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.planning.sources import generate
from methods.ehtdi import EHTDI
from methods.pixmatch import Consistency, PixMatch
from methods.pixmatch_source import WholeSource

SYNTHIA = "minicity/synthia_to_cityscapes"
#: So that something is confident, pasted and seen on random images.
USUAL = {
    "network": "deeplabv2-multi-mini",
    "mix_threshold": 0.08,
    "crop": 64,
    "batch_size": 1,
    "average_span": 4,
    "iterations": 10,
}
EDGE = {**USUAL, "edge_enhancement": True}
PIXMATCH = {key: value for key, value in USUAL.items() if key != "mix_threshold"}

OPTIONS: list[tuple[type[Method], dict[str, Any], dict[str, Any]]] = [
    (EHTDI, USUAL, {"mix_weight": 0.0}),
    (EHTDI, USUAL, {"contrast_weight": 0.0}),
    (EHTDI, USUAL, {"edge_enhancement": True}),
    (EHTDI, USUAL, {"paste_pick": "eligible"}),
    (EHTDI, USUAL, {"paste_first_class": 0}),
    (EHTDI, USUAL, {"mix_label": "true"}),
    (EHTDI, USUAL, {"aux_paste": True}),
    (EHTDI, USUAL, {"pseudo_threshold": 0.1}),
    (EHTDI, USUAL, {"grey_levels": "rounded"}),
    (EHTDI, USUAL, {"pixel_factor": 5.0}),
    (EHTDI, USUAL, {"prototype_factor": 5.0}),
    (EHTDI, USUAL, {"view_width": 48}),
    (EHTDI, USUAL, {"segmentation_weight": 0.5}),
    (EHTDI, EDGE, {"mix_border_weight": "once"}),
    (PixMatch, PIXMATCH, {"aux_crop": "same"}),
    (PixMatch, PIXMATCH, {"fourier_weight": 0.1}),
    (PixMatch, PIXMATCH, {"cutmix_weight": 0.1}),
    (PixMatch, {**PIXMATCH, "fourier_weight": 1.0, "fourier_beta": 0.1}, {"fourier_corners": "all"}),
    (PixMatch, PIXMATCH, {"smallest_crop": 1.0}),
    (PixMatch, PIXMATCH, {"view_width": 48}),
]


@pytest.mark.parametrize(("method", "usual", "option"), OPTIONS, ids=str)
def test_an_option_trains_and_changes_the_training(
    method: type[Method], usual: dict[str, Any], option: dict[str, Any]
) -> None:
    require_effect(method, usual, option)


@pytest.mark.parametrize("method", [EHTDI, PixMatch])
def test_a_network_with_one_output_will_do(method: type[Method]) -> None:
    usual = USUAL if method is EHTDI else PIXMATCH
    extra = {"edge_enhancement": True} if method is EHTDI else {"fourier_weight": 0.1, "cutmix_weight": 0.1}
    (log,) = train(build(method, **{**usual, **extra, "network": "deeplabv2-mini"}))
    assert all(math.isfinite(value) for value in log.values())
    assert not any(key.startswith("aux.") for key in log)


def test_the_average_follows_and_takes_over_the_statistics_at_the_end() -> None:
    made = build(EHTDI, **USUAL)
    assert isinstance(made, EHTDI)
    before = {name: p.clone() for name, p in made.average.network.named_parameters()}
    train(made)
    student = dict(made.student.named_parameters())
    for name, parameter in made.scored_network().named_parameters():
        torch.testing.assert_close(parameter, 0.75 * before[name] + 0.25 * student[name])
    name = "backbone.layer1.0.bn1.running_mean"
    assert not torch.equal(made.average.network.get_buffer(name), made.student.get_buffer(name))
    made.finish()
    assert torch.equal(made.average.network.get_buffer(name), made.student.get_buffer(name))


def test_the_average_starts_where_it_is_told() -> None:
    for start, alike in (("start-weights", False), ("source", True)):
        made = build(EHTDI, **{**USUAL, "average_start": start, "learning_rate": 1e-12})
        assert isinstance(made, EHTDI)
        for parameter in made.student.parameters():
            parameter.data.mul_(1.5)  # as if the weights of the source training were loaded
        train(made)
        pairs = zip(made.average.network.parameters(), made.student.parameters(), strict=True)
        assert all(torch.allclose(one, other) for one, other in pairs) == alike


def settings_of(method: type[Consistency], size: str, **overrides: Any) -> Consistency.Settings:
    return resolve(method.Settings, profile(size), {}, {}, "deeplabv2-multi-mini", overrides).settings


def test_all_variants_begin_with_one_source_training() -> None:
    variants = [
        settings_of(EHTDI, "mini"),
        settings_of(EHTDI, "mini", edge_enhancement=True, mix_weight=0.0, contrast_weight=0.0),
    ]
    firsts = [EHTDI.stages(settings)[0] for settings in variants]
    recipe = {"learning_rate": 2e-3}  # of the network, as in profile mini
    firsts += [method.stages(settings_of(method, "mini", **recipe))[0] for method in (EHTDI, PixMatch)]
    assert {first.method for first in firsts} == {WholeSource}
    assert firsts[0].settings == firsts[1].settings
    assert firsts[2].settings == firsts[3].settings.model_copy(
        update={"iterations": firsts[2].settings.iterations}
    )


def test_the_source_training_has_a_length_of_its_own() -> None:
    assert [s.settings.iterations for s in EHTDI.stages(settings_of(EHTDI, "paper"))] == [250_000, 250_000]
    stages = EHTDI.stages(settings_of(EHTDI, "paper", source_iterations=1000))
    assert [stage.settings.iterations for stage in stages] == [1000, 250_000]


def test_the_average_spans_the_published_decay_and_shrinks_with_the_training() -> None:
    assert 1 - 1 / settings_of(EHTDI, "paper").average_span == 0.999
    for method, published in ((EHTDI, 250_000), (PixMatch, 40_000)):
        mini = settings_of(method, "mini")
        assert mini.average_span == round(1000 / published * mini.iterations)


@pytest.mark.parametrize("method", [EHTDI, PixMatch])
def test_a_stated_decay_goes_before_the_span(method: type[Consistency[Any]]) -> None:
    usual = USUAL if method is EHTDI else PIXMATCH
    assert build(method, **usual).average.share == 0.75
    assert build(method, **usual, average_decay=0.97).average.share == pytest.approx(0.97, rel=1e-12)


def test_images_are_of_one_width() -> None:
    framing = EHTDI.sampling(settings_of(EHTDI, "mini")).framing
    assert framing.size((480, 270), (320, 180)) == (320, 180)
    assert framing.size((512, 256), (256, 128)) == (320, 160)


def test_source_images_of_a_stated_height(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As published for SYNTHIA, whose images are a little higher; those of the target keep their size."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    heights = {}
    for height in (None, 180):
        settings = (f"source_height={height}", "pretraining=none")
        request = Request(("ehtdi",), (SYNTHIA,), out=tmp_path, limit=1, device="cpu", settings=settings)
        (job,) = make_plan(request).jobs
        generate(job.spec.data.items(), lambda *_: lambda *_: None)
        context = open_job_context(job.spec, job.folder)
        for planned in plan_stages(context):
            labelled, target = training_data(context, planned.stage)
            heights[height] = {item[2] for item in labelled.items}
            assert target is None or {item[2] for item in target.items} == {(256, 128)}
    assert heights == {None: {(320, 190)}, 180: {(320, 180)}}
