"""The process that follows jobs, as seen by whoever runs them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from adaptbench.contracts.plugins import ROOT
from adaptbench.flags import Tracking

#: How long the last runs may take to be written or sent. Units: seconds.
GRACE_SECONDS = 180.0


@contextlib.contextmanager
def followed(
    tracking: Tracking, folders: Sequence[Path], out: Path, say: Callable[[str], None]
) -> Iterator[None]:
    """Has the jobs in ``folders`` followed while the block runs; without trackers, or jobs, nothing happens.

    ``say`` is told what the user should know, from another thread.

    Raises:
        UsageError: not the name of a project, or TensorBoard is not installed.
    """
    if not folders or (tracking.wandb == "disabled" and not tracking.tensorboard):
        yield
        return
    from adaptbench.tracking.backends import trackers

    places = [f"{tracker.name}: {tracker.folder}" for tracker in trackers(tracking, out)]
    process = _start(out)
    assert process.stdin is not None and process.stdout is not None
    relay = threading.Thread(target=_relay, args=(process.stdout, say), daemon=True)
    relay.start()
    orders = {"tracking": asdict(tracking), "out": str(out), "folders": [str(folder) for folder in folders]}
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(orders) + "\n")
        process.stdin.flush()
    try:
        yield
    finally:
        _finish(process, say)
        relay.join(timeout=1)
        say("; ".join(places))


def _start(out: Path) -> subprocess.Popen[str]:
    """The process, in a session of its own, so that Ctrl-C reaches it through us alone."""
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), str(ROOT)) if part)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "tracking.txt").open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "adaptbench.tracking.follow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            start_new_session=True,
        )


def _relay(lines: IO[str], say: Callable[[str], None]) -> None:
    for line in lines:
        say(line.rstrip("\n"))


def _finish(process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    """Lets the process end its runs; one that takes too long is left to `wandb sync`."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        code = process.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        say("The trackers did not end in time; what they have is on disk, and report --wandb makes it whole.")
        return
    if code != 0:
        say(
            f"The trackers ended with status {code}; see tracking.txt in the results folder. No job is affected."
        )
