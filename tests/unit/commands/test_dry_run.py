"""What --dry-run and --only-failed print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptbench.cli import main
from adaptbench.commands.dry_run import _cost, summary
from adaptbench.contracts.profiles import profile
from adaptbench.planning.estimates import Costs, Estimate
from adaptbench.planning.plan import Job, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import State, Status, write_status

OUT = Path("nowhere")
HOUR = Estimate(3600.0, 700.0)
#: Iterations of a main training of two images each.
MAIN = (profile("mini").samples or 0) // 2


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))


def jobs(*seeds: int, out: Path = OUT) -> list[Job]:
    return make_plan(Request(methods=("dacs",), seeds=seeds, out=out, device="cpu")).jobs


def test_cost_of_several_jobs() -> None:
    """In a table of a study: of all seeds that are to do."""
    first, second, done = jobs(0, 1, 2)
    costs: dict[Path, Estimate | None] = {first.folder: HOUR, second.folder: Estimate(60.0, 2048.0)}
    assert _cost([first, second, done], costs) == ("1h 01m 00s", "2.0 GiB")
    assert _cost([done], costs) == ("0", "0")
    assert _cost([first, second], {**costs, second.folder: None}) == ("unknown", "unknown")


def test_total_of_what_is_known() -> None:
    planned = jobs(0, 1, 2)
    costs: dict[Path, Estimate | None] = {job.folder: HOUR for job in planned}
    total, basis = summary(planned, costs, 2, OUT)
    assert total == "3 of 3 jobs to run: about 3h 00m 00s one after the other, 1h 30m 00s with 2 at once."
    assert "medians of finished runs in nowhere" in basis
    costs[planned[1].folder] = None
    total, _, unknown = summary(planned, costs, 1, OUT)
    assert total == "3 of 3 jobs to run: about 2h 00m 00s one after the other, and 1 without an estimate."
    assert unknown.startswith("unknown: no finished run in nowhere")


def test_jobs_at_once_take_as_long_as_the_longest() -> None:
    planned = jobs(0, 1)
    costs = {planned[0].folder: HOUR, planned[1].folder: Estimate(60.0, 1.0)}
    assert "1h 00m 00s with 8 at once" in summary(planned, costs, 8, OUT)[0]


def test_no_estimate_is_invented() -> None:
    planned = jobs(0, 1)
    total, unknown = summary(planned, {planned[0].folder: None}, 1, OUT)
    assert total == "1 of 2 jobs to run, none with an estimate."
    assert "the same method, network, profile, device and sizes" in unknown


@pytest.mark.parametrize(
    ("changed", "flag"),
    [({"activation_checkpointing": True}, "--activation-checkpointing"), ({"devices": 2}, "--devices")],
)
def test_what_records_do_not_know_the_cost_of(changed: dict[str, Any], flag: str) -> None:
    planned = [replace(job, spec=job.spec.model_copy(update=changed)) for job in jobs(0)]
    assert flag in summary(planned, {planned[0].folder: None}, 1, OUT)[1]


def test_nothing_to_run() -> None:
    assert summary(jobs(0), {}, 1, OUT) == ["Nothing to run: all jobs are done, or skipped by a rule."]


def test_lines_are_not_folded_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job,) = jobs(0, out=tmp_path)
    job.folder.mkdir(parents=True)
    reason = "why it failed " * 20 + "[not markup]"
    write_status(job.folder, Status(state=State.FAILED, reason=reason))
    command = ["--methods", "dacs", "--out", str(tmp_path), "--device", "cpu", "--dry-run"]
    assert main(command) == 0
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[:7] == ["method", "benchmark", "seed", "network", "iterations", "time", "peak"]
    assert f"failed: {reason}" in row
    assert job.folder.name in row
    assert row.split()[4] == str(MAIN)


def test_iterations_of_all_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["--methods", "fada", "daformer_dg", "--out", str(tmp_path), "--device", "cpu", "--dry-run"])
        == 0
    )
    _, fada, generalization, *_ = capsys.readouterr().out.splitlines()
    assert f"  {MAIN} + {MAIN} + {MAIN}  " in fada
    assert f"  {MAIN}  " in generalization


def test_what_comes_from_the_committed_board_is_marked() -> None:
    first, second = jobs(0, 1)
    costs: Costs = {first.folder: replace(HOUR, elsewhere=True), second.folder: HOUR}
    assert _cost([first, second], costs) == ("2h 00m 00s*", "700 MiB*")
    basis = summary([first, second], costs, 1, OUT)[1]
    assert "1 of them, marked *, from a committed board, on another machine" in basis
    alone = summary([first, second], {first.folder: costs[first.folder]}, 1, OUT)[1]
    assert alone.startswith(
        "Estimates*: from a committed board, on another machine; no finished run in nowhere"
    )


def test_only_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = jobs(0, 1, 2, out=tmp_path)
    command = ["--methods", "dacs", "--seeds", "0", "1", "2", "--out", str(tmp_path), "--device", "cpu"]
    assert main([*command, "--only-failed"]) == 0
    assert "no job of this plan failed" in capsys.readouterr().out
    for job, state in ((first, State.TIMEOUT), (second, State.FAILED)):
        job.folder.mkdir(parents=True)
        write_status(job.folder, Status(state=state))
    assert main([*command, "--only-failed", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert first.folder.name in shown and second.folder.name in shown
    assert third.folder.name not in shown
    assert "2 of 2 jobs to run" in shown


def test_a_wrong_timeout_ends_before_anything_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--methods", "no such method", "--timeout", "soon", "--dry-run"]) == 2
    assert "--timeout 'soon': give a duration with its unit" in capsys.readouterr().err
