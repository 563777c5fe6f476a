"""Drives the real command on a tiny generated benchmark, and looks at what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

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
    """

    out: Path
    cache: Path
    plugins: tuple[Path, ...] = (PLUGINS / "tiny.py",)
    settings: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *methods: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Starts ``run_all.py``; its output can be read from ``stdout``."""
        command = [
            sys.executable,
            str(REPOSITORY / "run_all.py"),
            *(["--methods", *methods] if methods else []),
        ]
        command += ["--benchmarks", "tiny", "--out", str(self.out), "--limit", str(ITERATIONS)]
        command += ["--device", "cpu", "--plugins", *map(str, self.plugins), *options]
        if self.settings:
            command += ["--set", *self.settings]
        environment = {**os.environ, "ADAPTBENCH_CACHE": str(self.cache), **self.environment}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )

    def run(self, *methods: str, options: tuple[str, ...] = ()) -> Ended:
        """Runs ``run_all.py`` to its end."""
        return ended(self.start(*methods, options=options))

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
        """The job processes that work in the results folder, trainings included."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if self._works_here(pid)]

    def _works_here(self, pid: int) -> bool:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            return False
        return "adaptbench.execution.job" in arguments and any(
            a.startswith(f"{self.out}/") for a in arguments
        )


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str


def ended(process: subprocess.Popen[str]) -> Ended:
    """Waits for a command."""
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return Ended(process.returncode, output)


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
        with safe_open(path, framework="pt") as file:
            return int(json.loads(file.metadata()["adaptbench"])["iteration"])
    return 0


def weights(stage: Path) -> dict[str, Tensor]:
    """The final weights of a stage."""
    return checkpoint.load(stage / "weights.safetensors")[0]


def same_bytes(left: Path, right: Path, name: str) -> bool:
    return (left / name).read_bytes() == (right / name).read_bytes()


def without_circumstances(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what may differ between two runs of one job."""
    return {key: value for key, value in record.items() if key not in ("cost", "environment")}
