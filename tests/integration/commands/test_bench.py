"""``bench``: a line per training and precision, measured in processes of their own."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from forks import in_fork
from torch import nn

from adaptbench.cli import main
from adaptbench.commands import bench
from adaptbench.contracts.precision import Precision
from adaptbench.errors import RunStateError
from adaptbench.execution import step_cost
from adaptbench.execution.step_cost import StepCost, counting
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.compilation import Compilation
from adaptbench.records.jobspec import JobSpec
from adaptbench.training import compilation


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("image_needs_one", [True, False])
def test_gradients_cost_as_much_as_the_pass_forwards(groups: int, image_needs_one: bool) -> None:
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    image = torch.randn(2, 8, 5, 6, requires_grad=image_needs_one)
    with counting() as counter:
        layer(image).sum().backward()
    forwards = 2 * (2 * 5 * 6) * 8 * (8 // groups) * 9
    assert counter.get_total_flops() == forwards * (3 if image_needs_one else 2)


def spec_of(method: str, *settings: str, precision: Precision = "float32", profile: str = "mini") -> JobSpec:
    request = Request(
        methods=(method,), settings=settings, limit=2, precision=precision, profile=profile, data="generated"
    )
    return make_plan(request).jobs[0].spec


@pytest.mark.parametrize(
    ("method", "stages"),
    [
        ("dacs", ["train"]),
        ("fada", ["source", "alignment", "self-distillation"]),
        ("intrada", ["inter-domain", "intra-domain"]),
    ],
)
def test_labelling_is_no_training(method: str, stages: list[str]) -> None:
    spec = spec_of(method)
    found = [step_cost.stage_of(spec, number) for number in step_cost.trainings(spec)]
    assert [stage.name for stage in found] == stages
    assert all(stage.labeller is None for stage in found)


@pytest.mark.parametrize(
    ("method", "profile", "labelled", "target"),
    [
        ("dacs", "paper", "2 x 512x512", "2 x 512x512"),
        ("advent", "paper", "1 x 1280x720", "1 x 1024x512"),
        ("source_only", "mini", "2 x 128x128", ""),
    ],
)
def test_images_have_the_sizes_of_the_training(
    method: str, profile: str, labelled: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(method, profile=profile)
    stage = step_cost.stage_of(spec, step_cost.trainings(spec)[0])
    sizes = step_cost._sizes(spec, stage)
    batch = step_cost._batch(stage, sizes, 19, 0)
    assert step_cost._images(stage, sizes[0]) == labelled
    assert tuple(batch.source.image.shape[2:]) == sizes[0][::-1] == tuple(batch.source.label.shape[2:])
    assert (batch.target is None) == (target == "")
    if batch.target is not None:
        assert step_cost._images(stage, sizes[1]) == target


def test_a_step_is_measured(tmp_path: Path) -> None:
    in_fork(_measured)


def _measured() -> None:
    spec = spec_of("dacs", "crop=32", "batch_size=1", precision="bf16")
    cost = step_cost.measured({"spec": spec.model_dump(mode="json"), "number": 0, "steps": 1})
    assert (cost.labelled, cost.target) == ("1 x 32x32", "1 x 32x32")
    assert cost.seconds > 0 and cost.first_seconds > 0 and cost.memory_mib > 100
    assert 1e8 < cost.flops < 1e9


def test_a_compiled_step_is_measured() -> None:
    in_fork(_measured_compiled)


def _measured_compiled() -> None:
    """Operations are counted as they are, and how far it was compiled is told."""
    compilation.BACKEND = "eager"
    spec = spec_of("source_only", "network=deeplabv2-mini", "crop=32", "batch_size=1")
    asked, plain = spec.model_copy(update={"compiled": True}), step_cost.step_cost(spec, 0, 1)
    cost = step_cost.step_cost(asked, 0, 1)
    assert cost.flops == plain.flops and plain.compilation is None
    assert cost.compilation == Compilation(
        compiled=["student.backbone", "student.decode_head"], uncompiled=[]
    )


def test_a_line_per_training_and_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = {"float32": StepCost(2.0, 3.0, 100.0, 4e12, "2 x 8x8", "2 x 8x8"), "bf16": None}

    def pretended(spec: JobSpec, number: int, steps: int) -> bench.Line:
        cost = (
            costs[spec.precision] if spec.method == "fada" else StepCost(4.0, 5.0, 10.0, 4e12, "1 x 8x8", "")
        )
        return bench.Line(spec, step_cost.stage_of(spec, number), cost, "" if cost else "out of memory")

    monkeypatch.setattr(bench, "_in_a_process", pretended)
    asked = [
        "bench",
        "--methods",
        "fada",
        "source_only",
        "--precision",
        "float32",
        "bf16",
        "--out",
        str(tmp_path),
    ]
    assert main(asked) == 1
    said = capsys.readouterr().out
    assert "fada: alignment, bf16: out of memory" in said and "Written: " in said
    content = json.loads((tmp_path / "bench" / "mini-cpu.json").read_text())
    lines = content["trainings"]
    stages = ["fada: source", "fada: alignment", "fada: self-distillation", "source_only"]
    assert [line["training"] for line in lines] == [name for name in stages for _ in range(2)]
    assert [line["precision"] for line in lines] == ["float32", "bf16"] * 4
    assert (lines[0]["tflops_per_second"], lines[0]["times_as_fast"]) == (2.0, 1.0)
    assert (lines[1]["seconds"], lines[1]["reason"]) == (None, "out of memory")
    assert {line["compiled"] for line in lines} == {None}
    assert lines[-1]["times_as_fast"] == 1.0 and lines[-1]["images"] == "1 x 8x8"


def test_compiled_lines_stand_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Compilation(compiled=["student.backbone"], uncompiled=["student.decode_head"])

    def pretended(spec: JobSpec, number: int, steps: int) -> bench.Line:
        usual = StepCost(4.0, 5.0, 10.0, 4e12, "1 x 8x8", "")
        cost = replace(usual, seconds=2.0, compilation=kept) if spec.compiled else usual
        failed = spec.compiled and spec.precision == "bf16"
        return bench.Line(spec, step_cost.stage_of(spec, number), None if failed else cost)

    monkeypatch.setattr(bench, "_in_a_process", pretended)
    asked = ["bench", "--methods", "source_only", "--precision", "float32", "bf16", "--compile"]
    assert main([*asked, "--out", str(tmp_path)]) == 1
    assert "source_only, float32, compiled: 2 s a step" in capsys.readouterr().out
    lines = json.loads((tmp_path / "bench" / "mini-cpu.json").read_text())["trainings"]
    assert [(line["precision"], line["compiled"], line["times_as_fast"]) for line in lines] == [
        ("float32", None, 1.0),
        ("float32", "but for student.decode_head", 2.0),
        ("bf16", None, 1.0),
        ("bf16", "not measured", None),
    ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "Out of memory: .*--activation-checkpointing"),
        (RunStateError("no such format here"), "^no such format here$"),
        (BrokenProcessPool(), "^killed"),
    ],
)
def test_a_training_that_fails_is_a_line(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    monkeypatch.setattr(bench, "measured", Mock(side_effect=error))
    line = bench._in_a_process(spec_of("dacs"), 0, 1)
    assert line.cost is None and re.search(reason, line.reason)


def test_nothing_to_measure_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bench", "--benchmark", "gta5_dg", "--methods", "dacs", "--out", str(tmp_path)]
    assert main(asked) == 2
    assert "None of the methods trains on gta5_dg" in capsys.readouterr().err
    assert main(["bench", "--steps", "0", "--out", str(tmp_path)]) == 2
    assert not (tmp_path / "bench").exists()
