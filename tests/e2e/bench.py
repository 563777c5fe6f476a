"""Drives the real command on a tiny generated benchmark, and looks at what it left."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import Fork, fork_command, fork_jobs
from torch import Tensor

from adaptbench.cli import main
from adaptbench.training import checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "plugins"
ITERATIONS = 6
#: Small crops, but slow enough for dacs that a test can interrupt it between two checkpoints.
SETTINGS = ("crop=64", "dacs.crop=128")
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Bench:
    """Calls the real command on the tiny benchmark, writing to one results folder.

    Attributes:
        out: the results folder.
        cache: where generated data is kept.
        plugins: files given with --plugins.
        settings: the --set options.
        iterations: of every stage, and images per split (--limit).
    """

    out: Path
    cache: Path
    plugins: tuple[Path, ...] = (PLUGINS / "tiny.py",)
    settings: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    iterations: int = ITERATIONS

    def start(self, *methods: str, options: tuple[str, ...] = ()) -> Fork:
        """Starts the command; `ended` waits for it."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        said = self.out.with_name(f"{self.out.name}-{time.monotonic_ns()}.txt")
        return fork_command(self.arguments(methods, options), self.variables(), said)

    def run(self, *methods: str, options: tuple[str, ...] = ()) -> Ended:
        """Runs the command to its end, in this process."""
        return call(self.arguments(methods, options), self.variables())

    def arguments(self, methods: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
        """The command line."""
        arguments = ["--methods", *methods] if methods else []
        arguments += ["--benchmarks", "tiny", "--out", str(self.out), "--limit", str(self.iterations)]
        arguments += ["--device", "cpu", "--plugins", *map(str, self.plugins), *options]
        return arguments + (["--set", *self.settings] if self.settings else [])

    def variables(self) -> dict[str, str]:
        """Its environment variables."""
        return {"ADAPTBENCH_CACHE": str(self.cache), **self.environment}

    def folder(self, method: str) -> Path:
        """The job folder of ``method``."""
        (folder,) = (self.out / "runs" / "minicity" / "tiny" / method).iterdir()
        return folder

    def status(self, method: str) -> dict[str, Any]:
        """What the status file of ``method`` says."""
        return read_json(self.folder(method) / "status")

    def record(self, method: str) -> dict[str, Any]:
        """The record of ``method``."""
        return read_json(self.folder(method) / "record.json")

    def stage(self, method: str, stage: str = "train") -> Path:
        """The folder of a stage of ``method``."""
        return (self.folder(method) / "stages" / stage).resolve(strict=True)

    def processes(self) -> list[int]:
        """The job processes that work in the results folder, trainings included: they print to its log files."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if self._works_here(pid)]

    def _works_here(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/fd/1").readlink().is_relative_to(self.out)
        except OSError:
            return False


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str


def call(arguments: Sequence[str], variables: Mapping[str, str]) -> Ended:
    """Runs a command line in this process, its jobs as forks of it, and leaves the process as it was."""
    said = io.StringIO()
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        for name, value in variables.items():
            patch.setenv(name, value)
        fork_jobs(patch)
        code = main(arguments)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    return Ended(code, said.getvalue())


def ended(process: Fork) -> Ended:
    """Waits for a command."""
    return Ended(process.wait(PATIENCE_SECONDS), process.said.read_text(encoding="utf-8"))


def wait_until(happened: Callable[[], Any], what: str) -> None:
    """Polls every few milliseconds, so that what happens next can still be prevented."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def iteration(out: Path) -> int:
    """Iterations in the only checkpoint under ``out``; 0 if there is none."""
    for path in (out / "stages").glob("*/checkpoint.safetensors"):
        with path.open("rb") as file:  # once: it may be replaced meanwhile
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return int(json.loads(header["__metadata__"]["adaptbench"])["iteration"])
    return 0


def weights(stage: Path) -> dict[str, Tensor]:
    """The final weights of a stage."""
    return checkpoint.load(stage / "weights.safetensors")[0]


def same_bytes(left: Path, right: Path, name: str) -> bool:
    return (left / name).read_bytes() == (right / name).read_bytes()


def without_circumstances(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what may differ between two runs of one job, and without its digest, which covers that."""
    return {key: value for key, value in record.items() if key not in ("cost", "environment", "digest")}
