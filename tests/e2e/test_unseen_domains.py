"""Domain generalization: the scored datasets are closed to methods, their images included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from forks import in_fork

from adaptbench.contracts.dataset import Sample
from adaptbench.data import firewall
from adaptbench.data.stream import TrainingStream
from adaptbench.errors import FirewallError
from adaptbench.execution import job_context
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.stages.data import training_data
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.execution.stages.sealing import seal
from adaptbench.planning import sources
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import save_job

from .bench import PLUGINS

Open = Callable[..., JobContext]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's generated images are."""
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture
def opened(tmp_path: Path, worlds: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Plans a job, generates its data and loads what it names."""
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(worlds))

    def open_job(method: str, benchmark: str, *plugins: Path) -> JobContext:
        request = Request(
            (method,), (benchmark,), out=tmp_path, full=True, limit=1, device="cpu", plugins=plugins
        )
        (job,) = make_plan(request).jobs
        beside = [(text.partition("/")[0], source) for text, source in job.spec.also.items()]
        sources.generate([*job.spec.data.items(), *beside], lambda *_: lambda *_: None)
        save_job(job.spec, job.folder)
        return job_context.open_job_context(job.spec, job.folder)

    return open_job


def files(sample: Sample) -> list[Path]:
    return [sample.image, sample.label]


def test_training_reads_the_source_and_nothing_else(opened: Open) -> None:
    def act() -> None:
        context = opened("source_only", "gta5_dg")
        (planned,) = plan_stages(context)
        labelled, target = training_data(context, planned.stage)
        seal(context, TrainingStream(labelled, target, planned.stage.settings, 0))
        assert target is None
        for path in files(labelled.items[0][1]):
            path.read_bytes()
        firewall.require_intact()
        scored = [(context.datasets[ref.dataset], ref.split) for ref in context.benchmark.scored()]
        assert len(scored) == 3
        for dataset, split in scored:
            for path in files(dataset.samples(split)[0]):
                with pytest.raises(FirewallError, match="tried to open"):
                    path.read_bytes()

    in_fork(act)


@pytest.mark.parametrize("name", ["gta5_dg", "gta5_to_cityscapes"])
def test_what_is_scored_beside_is_closed(opened: Open, name: str) -> None:
    def act() -> None:
        context = opened("source_only", name)
        assert set(context.also) == {str(ref) for ref in context.benchmark.beside()}
        with firewall.closed(context.closed_folders):
            for text, dataset in context.also.items():
                for path in files(dataset.samples(text.partition("/")[2])[0]):
                    with pytest.raises(FirewallError, match="tried to open"):
                        path.read_bytes()

    in_fork(act)


@pytest.mark.parametrize(("name", "closed"), [("gta5_dg", True), ("gta5_to_cityscapes", False)])
def test_planning_sees_no_scored_image_either(opened: Open, name: str, closed: bool) -> None:
    def act() -> None:
        context = opened("curious", name, PLUGINS / "curious.py")
        if closed:
            with pytest.raises(FirewallError, match=r"tried to open .*leftImg8bit"):
                plan_stages(context)
        else:
            assert len(plan_stages(context)) == 1

    in_fork(act)
