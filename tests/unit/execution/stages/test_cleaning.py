"""What may go from stage folders, and what stays whatever is asked; from files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from adaptbench.cli import main
from adaptbench.contracts.keeping import KeepWeights
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.execution.stages import cleaning
from adaptbench.execution.stages.choice import selection_by, weights_name
from adaptbench.execution.stages.cleaning import Kind, leftovers, remove, wait_until_removed
from adaptbench.execution.stages.planned import PlannedStage, asked_for
from adaptbench.planning import plan
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.curves import link_stage
from adaptbench.records.jobspec import JobSpec, State, Status, save_job, write_status
from adaptbench.storage import claims

WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAPTBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return make_plan(Request(methods=("dacs",), device="cpu")).jobs[0].spec


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Path]:
    def made(name: str, *files: str) -> Path:
        for file in ("result.json", "metrics.jsonl", *(files or (WEIGHTS,))):
            path = tmp_path / "stages" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("1234")
        return tmp_path / "stages" / name

    return made


@pytest.fixture
def job(tmp_path: Path, spec: JobSpec) -> Callable[..., Path]:
    """A job with its stages, told to keep something."""

    def made(
        seed: int, *stages: str, keep: KeepWeights = "all", state: State = State.DONE, **ranking: str
    ) -> Path:
        folder = tmp_path / "runs" / "board" / "dacs" / f"{seed}-00000000"
        told = spec.model_copy(update={"keep_weights": keep, "ranking": {**spec.ranking, **ranking}})
        save_job(told, folder)
        for number, name in enumerate(stages):
            link_stage(folder, f"stage {number}", tmp_path / "stages" / name, number)
        write_status(folder, Status(state=state))
        if state is State.DONE:
            (folder / "record.json").touch()
        return folder

    return made


def _names(out: Path, keep: KeepWeights | None = None) -> set[str]:
    return {one.path.relative_to(out / "stages").as_posix() for one in leftovers(out, keep)}


def test_what_goes_follows_from_what_is_kept(tmp_path: Path, stage: Any, job: Any) -> None:
    stage("a"), stage("b", "labels.jsonl", "labels/city/1.png"), stage("c", WEIGHTS, "checkpoint.safetensors")
    job(0, "a", "b", "c")
    assert _names(tmp_path) == {"c/checkpoint.safetensors"}
    last = {f"a/{WEIGHTS}", "b/labels.jsonl", "b/labels", "c/checkpoint.safetensors"}
    assert _names(tmp_path, "last") == last
    assert _names(tmp_path, "none") == last | {f"c/{WEIGHTS}"}
    assert sum(one.size for one in leftovers(tmp_path, "none")) == 5 * 4

    remove(tmp_path, "none")
    assert not _names(tmp_path, "none")
    left = {path.relative_to(tmp_path / "stages").as_posix() for path in (tmp_path / "stages").rglob("*.js*")}
    assert left == {f"{name}/{file}" for name in "abc" for file in ("result.json", "metrics.jsonl")}


def test_a_job_alone_removes_what_no_other_keeps(tmp_path: Path, stage: Any, job: Any) -> None:
    shared, own, third = stage("shared"), stage("own"), stage("third")
    first, second = job(0, "shared", keep="last"), job(1, "shared", "own", keep="none")
    job(2, "third", keep="none")
    assert [one.path for one in remove(tmp_path, job=second)] == [own / WEIGHTS]
    assert (third / WEIGHTS).exists(), "of a job that was not asked about"
    job(0, "shared", keep="none")
    assert [one.path for one in remove(tmp_path, job=first)] == [shared / WEIGHTS]


def test_the_chosen_snapshot_is_what_was_scored(tmp_path: Path, stage: Any, job: Any, spec: JobSpec) -> None:
    snapshots = ("snapshots/000001.safetensors", "snapshots/000002.safetensors")
    folder = stage("a", WEIGHTS, *snapshots, "entropy-0.json")
    name = weights_name(selection_by("oracle-best", spec))
    (folder / name).symlink_to(snapshots[1])
    (folder / "entropy-0.safetensors").symlink_to(snapshots[0])
    job(0, "a", checkpoint="oracle-best", keep="last")
    assert _names(tmp_path) == {"a/entropy-0.safetensors", f"a/{snapshots[0]}"}
    remove(tmp_path)
    assert (folder / name).resolve(strict=True) == folder / snapshots[1]


@pytest.mark.parametrize(
    "state", [State.PLANNED, State.FAILED, State.INTERRUPTED, State.WAITING, State.RUNNING]
)
def test_what_an_unfinished_job_may_need_stays(
    tmp_path: Path, stage: Any, job: Any, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage("linked"), stage("planned"), stage("free"), stage("deleted")
    job(0, "linked", "planned", "free")
    other = job(1, "linked", state=state)
    monkeypatch.setattr(cleaning, "_planned", lambda folder, _: {"planned"} if folder == other else set())
    assert _names(tmp_path, "none") == {f"free/{WEIGHTS}", "deleted"}


def test_nothing_goes_where_a_job_cannot_be_told(tmp_path: Path, stage: Any, job: Any) -> None:
    stage("a")
    folder = job(0, state=State.FAILED)
    (folder / "job.json").write_text("{")
    with pytest.raises(RunStateError, match=r"cannot be told which stages .*0-00000000 needs"):
        remove(tmp_path, "none")
    assert _names_of(tmp_path / "stages" / "a") >= {WEIGHTS}


def test_a_job_that_has_not_begun_is_told_without_its_data(tmp_path: Path, stage: Any, job: Any) -> None:
    (needed,) = cleaning._planned(job(0, state=State.PLANNED))
    stage(needed), stage("free")
    job(1, needed, "free")
    assert _names(tmp_path, "none") == {f"free/{WEIGHTS}"}


def _names_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_stage_that_somebody_works_on_stays(tmp_path: Path, stage: Any, job: Any, monkeypatch: Any) -> None:
    folder = stage("a")
    job(0, "a")
    with claims.briefly(folder):
        assert not _names(tmp_path, "none")
    known = leftovers(tmp_path, "none")
    monkeypatch.setattr(cleaning, "leftovers", lambda *_: known)
    with claims.briefly(folder):  # somebody has come since
        assert not remove(tmp_path, "none")
    assert (folder / WEIGHTS).exists()


def test_only_what_was_shown_goes(tmp_path: Path, stage: Any, job: Any) -> None:
    stage("a"), stage("b")
    job(0, "a")
    shown = leftovers(tmp_path, "none")
    job(1, "b")
    assert {one.path.parent.name for one in remove(tmp_path, "none", among=shown)} == {"a"}


def test_a_removal_may_end_anywhere(tmp_path: Path, stage: Any, job: Any, monkeypatch: Any) -> None:
    folder, deleted = stage("a", "labels.jsonl", "labels/1.png"), stage("deleted")
    job(0, "a")
    monkeypatch.setattr(cleaning.shutil, "rmtree", _fails)
    for _ in range(2):
        with pytest.raises(RunStateError, match=r"cannot be removed: .*labels: "):
            remove(tmp_path, "none")
    assert not (folder / "labels.jsonl").exists(), "without it, it counts as not labelled"
    assert (folder / "result.json").exists() and deleted.exists()
    monkeypatch.undo()
    assert {one.kind for one in remove(tmp_path, "none")} == {Kind.LABELS, Kind.ABANDONED}
    assert not deleted.exists() and not leftovers(tmp_path, "none")


def _fails(path: Path, **_: object) -> None:
    raise OSError(5, "Input/output error", str(path))


def test_jobs_begin_when_nobody_removes(tmp_path: Path) -> None:
    stages = tmp_path / "stages"
    wait_until_removed(tmp_path, lambda: True)
    with claims.briefly(stages), pytest.raises(InterruptedTrainingError, match="run again"):
        wait_until_removed(tmp_path, lambda: True)
    wait_until_removed(tmp_path, lambda: True)


def test_one_removes_at_a_time(tmp_path: Path, stage: Any, monkeypatch: Any) -> None:
    stage("a")
    monkeypatch.setattr(cleaning, "_PATIENCE_SECONDS", 0.0)
    with claims.briefly(tmp_path / "stages"), pytest.raises(RunStateError, match="Somebody else cleans"):
        remove(tmp_path)
    remove(tmp_path)
    assert not (tmp_path / "stages" / "a").exists()


def _entry(name: str, *, done: bool, start: Any = None, labels: Any = None) -> PlannedStage:
    return cast("PlannedStage", SimpleNamespace(hash=name, done=done, start=start, labels=labels))


@pytest.mark.parametrize(
    ("done", "expected"), [("abc", "c"), ("ab", "abc"), ("c", "c"), ("a", "abc"), ("b", "abc")]
)
def test_a_finished_stage_asks_for_nothing_before_it(done: str, expected: str) -> None:
    a = _entry("a", done="a" in done)
    b = _entry("b", done="b" in done, start=a)
    c = _entry("c", done="c" in done, start=a, labels=b)
    assert asked_for([a, b, c]) == {*expected}


def test_a_plan_sees_whether_weights_are_there(tmp_path: Path, stage: Any, job: Any) -> None:
    stage("a"), stage("b")
    folder = job(0, "a", "b")
    remove(tmp_path, "last")
    assert plan._has_weights(folder)
    remove(tmp_path, "none")
    assert not plan._has_weights(folder)


def test_the_verb_shows_asks_and_removes(
    tmp_path: Path, stage: Any, job: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stage("a")
    job(0, "a")
    arguments = ["clean", "--out", str(tmp_path), "--keep-weights", "none"]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert main([*arguments, "--dry-run"]) == 0 and "weights of finished runs" in capsys.readouterr().out
    assert main(arguments) == 2 and "--yes" in capsys.readouterr().err
    assert (folder / WEIGHTS).exists()
    assert main([*arguments, "--yes"]) == 0 and not (folder / WEIGHTS).exists()
    assert main(arguments) == 0 and "Nothing to remove" in capsys.readouterr().out
    assert main(["clean", "--out", str(tmp_path / "none")]) == 2
