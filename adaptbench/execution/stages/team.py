"""The processes that train a stage, one for each device: they end together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from adaptbench.contracts.method import Stage
from adaptbench.execution.stages.child import EXIT_INTERRUPTED
from adaptbench.records.jobspec import JobSpec

_STOP_POLL_SECONDS = 0.2
#: What the others have after one has ended: to say why, and to save if it was asked to stop. Units: seconds.
_MOMENT_SECONDS, _SAVING_SECONDS = 10.0, 50.0


def ranks_of(spec: JobSpec, stage: Stage) -> int:
    """Processes that run a stage: no more than its batches have images; one where nothing is trained."""
    return min(spec.devices, stage.settings.batch_size) if stage.trains else 1


def wait_for(team: Sequence[BaseProcess], stop: Callable[[], bool]) -> int | None:
    """Waits until all have ended, and returns how the first one did that did not end well.

    Where one ends otherwise the rest cannot go on, and is ended, too.
    """
    first: int | None = None
    while any(process.is_alive() for process in team):
        connection.wait([process.sentinel for process in team if process.is_alive()], _STOP_POLL_SECONDS)
        if stop():  # asked of us alone, or before the child could listen
            for process in team:
                process.terminate()
        failed = [process.exitcode for process in team if process.exitcode]
        if failed and first is None and len(team) > 1:
            first = min(failed)  # a signal before errors that follow from it
            _end(team, _SAVING_SECONDS if first == EXIT_INTERRUPTED else _MOMENT_SECONDS)
    return first or next((process.exitcode for process in team if process.exitcode), 0)


def _end(team: Sequence[BaseProcess], patience: float) -> None:
    """Ends those that still wait for one that is gone after so many seconds."""
    deadline = time.monotonic() + patience
    for process in team:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
