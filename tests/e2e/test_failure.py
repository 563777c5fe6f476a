"""Methods that fail take nobody with them, and are tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adaptbench.data import landlock

from .bench import PLUGINS, Bench, Ended

FAULTY = ("raises", "kills_itself", "leaves", "diverges", "hungry", "peeks", "peeks_in_fork")


@dataclass(frozen=True)
class Failing:
    """A run in which most methods fail, and a second one after one of them was mended."""

    bench: Bench
    first: Ended
    status: dict[str, dict[str, object]]
    files: dict[str, set[str]]
    logs: dict[str, str]
    finished: int
    second: Ended


@pytest.fixture(scope="module")
def failing(
    reference: Bench, bench: Callable[[str], Bench], tmp_path_factory: pytest.TempPathFactory
) -> Failing:
    mended = tmp_path_factory.mktemp("switch") / "mended"
    files = (PLUGINS / f"{name}.py" for name in ("faulty", "peeking"))
    made = bench("failing")
    made = replace(
        made,
        plugins=(*made.plugins, *files),
        settings=("crop=64",),
        environment={"TEST_MENDED": str(mended)},
    )
    first = made.run(*FAULTY, "source_only")
    seen = {
        "status": {name: made.status(name) for name in FAULTY},
        "files": {name: {path.name for path in made.folder(name).iterdir()} for name in FAULTY},
        "logs": {name: (made.folder(name) / "log.txt").read_text() for name in FAULTY},
        "finished": _written(made.folder("source_only") / "record.json"),
    }
    mended.touch()
    return Failing(bench=made, first=first, second=made.run("raises", "source_only"), **seen)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_failing_jobs_are_named_and_the_status_tells(failing: Failing) -> None:
    assert failing.first.code == 1, failing.first.output
    for name in FAULTY:
        assert failing.status[name]["state"] == "failed", name
        assert f"{name} · minicity/tiny · seed 0: failed" in failing.first.output
        assert not failing.files[name] & {"record.json", "confusion"}, name


def test_others_finish(failing: Failing) -> None:
    assert failing.bench.status("source_only")["state"] == "done"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("raises", "ValueError: this method is broken on purpose"),
        ("kills_itself", "ended without a word (killed by signal 9)"),
        ("leaves", "ended without finishing (exit status 0); did the method call os._exit or sys.exit?"),
        ("diverges", "diverged"),
        (
            "hungry",
            "Out of memory: fewer jobs at once (--jobs 1), --activation-checkpointing or --accumulate need less.",
        ),
        ("kills_itself", "--jobs 1"),
        ("peeks", "tried to open"),
        ("peeks_in_fork", "tried to open"),
    ],
)
def test_reason_and_traceback(failing: Failing, method: str, reason: str) -> None:
    assert reason in str(failing.status[method]["reason"])
    assert "traceback.txt" in failing.files[method]
    assert "Traceback" in failing.logs[method]
    assert reason in failing.logs[method]


def test_traceback_points_at_the_method(failing: Failing) -> None:
    assert "faulty.py" in failing.logs["raises"]


@pytest.mark.parametrize("method", ["peeks", "peeks_in_fork"])
def test_refusal_names_the_label_even_if_it_was_hidden(failing: Failing, method: str) -> None:
    assert "/gtFine/train/" in str(failing.status[method]["reason"])


def test_the_log_says_which_walls_there_are(failing: Failing) -> None:
    walls = "the audit hook alone" if landlock.missing() else "the kernel and by the audit hook"
    assert f"labels are out of reach, by {walls}" in failing.logs["peeks"]


def test_second_call_retries_the_failed_and_skips_the_done(failing: Failing) -> None:
    assert failing.second.code == 0, failing.second.output
    assert failing.bench.status("raises")["state"] == "done"
    assert not (failing.bench.folder("raises") / "traceback.txt").exists()
    assert _written(failing.bench.folder("source_only") / "record.json") == failing.finished


def test_force_trains_anew(failing: Failing) -> None:
    stage = failing.bench.stage("source_only") / "weights.safetensors"
    before, written = stage.read_bytes(), _written(stage)
    answer = failing.bench.run("source_only", options=("--force",))
    assert answer.code == 0, answer.output
    assert _written(stage) > written
    assert stage.read_bytes() == before
    assert _written(failing.bench.folder("source_only") / "record.json") > failing.finished
