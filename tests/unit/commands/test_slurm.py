"""What --launcher slurm writes, tells the scheduler and says, with a scheduler that notes what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from adaptbench.cli import main, parse
from adaptbench.commands.run import request_of
from adaptbench.contracts import plugins
from adaptbench.errors import RunStateError
from adaptbench.execution.slurm.submission import submitted
from adaptbench.flags import Work
from adaptbench.planning.plan import Job, make_plan
from adaptbench.records import checkout
from adaptbench.records.jobspec import State, Status, write_status

SBATCH = """#!/bin/bash
echo "$@" >> calls.txt
echo "$((40 + $(wc -l < calls.txt)));cluster"
"""
SCONTROL = "#!/bin/bash\necho 'MaxArraySize            = 3'\n"
WORDS = ["--methods", "source_only", "dacs", "--seeds", "0", "1", "--device", "cpu", "--out", "out"]
SLURM = ["--launcher", "slurm"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkout, "code_digest", lambda registry: "as it was")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of its commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def written(suffix: str) -> Path:
    (path,) = Path("out/slurm").glob(f"*/*{suffix}")
    return path.resolve()


def test_an_array_is_submitted(scheduler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No larger than the cluster allows; its files ask for the same jobs."""
    assert main([*WORDS, *SLURM, "--requeue", "2"]) == 0
    assert Path("calls.txt").read_text() == f"--parsable {written('.sh')}\n"
    said = capsys.readouterr().out
    assert f"submitted 3 workers for 4 jobs, {written('.sh')}: scancel 41 ends them." in said
    script = written(".sh").read_text()
    assert "#SBATCH --array=0-2\n" in script and '"${SLURM_RESTART_COUNT:-0}" -lt 2' in script
    assert "launcher" not in yaml.safe_load(written(".yaml").read_text())
    names = json.loads(written(".json").read_text())["jobs"]
    assert names == [f"runs/{job.folder.relative_to(Path('out/runs').resolve())}" for job in plan()]
    assert not Path("out/runs").exists()


def plan(*words: str) -> list[Job]:
    """What its workers plan."""
    command = parse(["work", "--plan", str(written(".yaml")), *words])
    assert isinstance(command, Work)
    return make_plan(request_of(command)).jobs


def test_arrays_follow_where_workers_may_not_requeue(
    scheduler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cluster.yaml").write_text("requeue: false\nmax_parallel: 1\n")
    assert main([*WORDS, *SLURM, "--requeue", "2", "--cluster", "cluster.yaml"]) == 0
    after = [line.rpartition(" ")[0] for line in Path("calls.txt").read_text().splitlines()]
    follows = "--parsable --dependency=afternotok:{} --kill-on-invalid-dep=yes"
    assert after == ["--parsable", follows.format(41), follows.format(42)]
    assert "1 workers for 4 jobs and 2 arrays that follow" in capsys.readouterr().out


def test_a_dry_run_shows_scripts_where_there_is_no_scheduler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main([*WORDS, *SLURM, "--dry-run"]) == 0
    assert "#SBATCH --array=0-3\n" in capsys.readouterr().out
    assert not Path("out").exists()


def test_a_gpu_is_not_needed_here(scheduler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--device", "cuda", "--devices", "2", *SLURM, "--dry-run"]) == 0
    assert "#SBATCH --gres=gpu:2\n" in capsys.readouterr().out


def test_what_failed_is_left_alone(scheduler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, *SLURM]) == 0
    failed = plan()[0].folder
    failed.mkdir(parents=True)
    write_status(failed, Status(state=State.FAILED, reason="it failed"))
    capsys.readouterr()
    assert main([*WORDS, *SLURM]) == 0
    said = capsys.readouterr().out
    assert "3 workers for 3 jobs" in said and "1 jobs left alone" in said
    assert main([*WORDS, *SLURM, "--only-failed"]) == 0
    assert "1 workers for 1 jobs" in capsys.readouterr().out
    alone = ["--methods", "source_only", "--device", "cpu", "--out", "out", *SLURM, "--dry-run"]
    assert main(alone) == 0
    said = capsys.readouterr().out
    assert "1 of 1 jobs to run" in said and "#SBATCH" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--device", "auto"],
            "--device auto: jobs will run on other machines. Say --device cuda or --device cpu.",
        ),
        (["--force"], "--force: every worker would run all jobs again"),
        (["--jobs", "2"], "max_parallel of the --cluster file"),
        (["--requeue", "-1"], "--requeue -1: give 0 or more"),
        (["--cluster", "none.yaml"], "Cannot read none.yaml"),
    ],
)
def test_what_makes_no_sense(
    scheduler: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main([*WORDS, *SLURM, *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("calls.txt").exists()


@pytest.mark.parametrize("words", [["--cluster", "cluster.yaml"], ["--requeue", "1"]])
def test_a_scheduler_that_is_not_asked_for(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main([*WORDS, *words]) == 2
    assert "Say --launcher slurm, too." in capsys.readouterr().err


def test_a_worker_is_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Though its file may say who runs the jobs of ``run``."""
    Path("experiment.yaml").write_text(
        "methods: [dacs]\nlauncher: slurm\nrequeue: 3\nout: out\nonly_failed: true\n"
    )
    assert main(["work", "--plan", "experiment.yaml"]) == 0
    assert "No free job is left" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["sbatch", "scontrol"])
def test_no_scheduler(scheduler: Path, capsys: pytest.CaptureFixture[str], program: str) -> None:
    (scheduler / program).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(scheduler))
        (scheduler / "bash").symlink_to("/bin/bash")
        assert main([*WORDS, *SLURM]) == 2
    assert f"there is no {program} here. Call it where Slurm's commands are" in capsys.readouterr().err


def test_a_scheduler_that_refuses(scheduler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scheduler / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    assert main([*WORDS, *SLURM]) == 2
    assert "failed: sbatch: error: invalid partition. Change the file given with" in capsys.readouterr().err


def test_no_arrays(scheduler: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scheduler / "scontrol").write_text("#!/bin/bash\necho 'MaxArraySize = 0'\n")
    assert main([*WORDS, *SLURM]) == 2
    assert "This cluster allows no arrays" in capsys.readouterr().err


def test_workers_take_what_was_submitted(scheduler: Path) -> None:
    assert main([*WORDS, *SLURM]) == 0
    more = plan("--seeds", "0", "1", "2")
    found = submitted(more, written(".json"), Path("out").resolve())
    assert [job.spec.seed for job in found] == [0, 1, 0, 1]


def test_a_changed_plan_is_refused(scheduler: Path) -> None:
    assert main([*WORDS, *SLURM]) == 0
    with pytest.raises(RunStateError, match=r"2 jobs of .*json are none of the plan any more"):
        submitted(plan("--set", "dacs.crop=64"), written(".json"), Path("out").resolve())


def test_changed_code_is_refused(
    scheduler: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, *SLURM]) == 0
    monkeypatch.setattr(checkout, "code_digest", lambda registry: "otherwise")
    words = ["--plan", str(written(".yaml")), "--submission", str(written(".json"))]
    assert main(["work", *words]) == 2
    assert f"The code in {plugins.ROOT} has changed since {written('.json')}" in capsys.readouterr().err
    assert not Path("out/runs").exists()
