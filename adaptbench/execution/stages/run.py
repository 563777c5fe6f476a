"""Runs the stages of a job that are not finished yet, each in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from adaptbench.errors import FirewallError, InterruptedTrainingError, RunStateError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.launch import processes
from adaptbench.execution.launch.endings import ending
from adaptbench.execution.stages import child
from adaptbench.execution.stages.planned import PlannedStage, identity, plan_stages
from adaptbench.execution.stages.progress import say
from adaptbench.execution.stages.sealing import Outside
from adaptbench.execution.stages.selection import complete, remove_others, select
from adaptbench.ranks.group import Ranks
from adaptbench.records.curves import link_stage
from adaptbench.records.jobspec import State, Status, write_status
from adaptbench.storage.atomic import sweep, write_text

_STOP_POLL_SECONDS = 0.2
#: What the other ranks of a training have to save and say after one has ended.
_GRACE_SECONDS = 10.0
_LINE_BYTES = 1 << 16


def run_all(context: JobContext, stop: Callable[[], bool]) -> list[PlannedStage]:
    """Runs every stage of the job that is not finished yet, in order, and returns them all.

    Raises:
        FirewallError: a training was refused a label; what it was saved as is deleted.
        InterruptedTrainingError: asked to stop; the running stage is saved.
        RunStateError: a training failed; its traceback is in the job's folder.
    """
    planned = plan_stages(context)
    for index, entry in enumerate(planned):
        entry.folder.mkdir(parents=True, exist_ok=True)
        link_stage(context.folder, entry.stage.name, entry.folder, index)
        write_status(context.folder, Status(state=State.RUNNING, stage=entry.stage.name))
        with processes.locked(entry.folder / ".lock", stop, say):
            if entry.done:
                say(f"{entry.stage.name}: done before, {entry.folder.name}")
            else:
                sweep(entry.folder)
            if not entry.trained or (not entry.done and not complete(entry, context)):
                facts = json.dumps(identity(context, entry), indent=1, sort_keys=True)
                write_text(entry.folder / "stage.json", facts + "\n")
                _train_in_child(context, index, entry, stop)
            if not entry.done:
                select(context, entry, stop)
            if entry.selection is not None:
                remove_others(entry)
    return planned


def _train_in_child(context: JobContext, index: int, entry: PlannedStage, stop: Callable[[], bool]) -> None:
    """Trains in a child process, which the firewall seals for good; this process stays free to evaluate.

    The child is forked, which saves importing torch again; CUDA does not survive a fork. On several devices there is
    one for each, and they end together.
    """
    start = multiprocessing.get_context("fork" if context.device.type == "cpu" else "spawn")
    heard, line = start.Pipe(duplex=False)
    told, reason = start.Pipe(duplex=False)
    with heard, told, TemporaryDirectory(prefix="adaptbench-", ignore_cleanup_errors=True) as scratch:
        outside = Outside(line, reason, Path(scratch))
        count = ranks_of(context, entry)
        team = [
            start.Process(  # type: ignore[attr-defined]
                target=child.main, args=(context.folder, index, os.getpid(), outside, Ranks(rank, count))
            )
            for rank in range(count)
        ]
        for process in team:
            process.start()
        line.close()
        reason.close()
        code = _wait(team, stop)
        refused, failure = _refused(heard), _failure(told, code)
    if refused is not None:
        _forget(entry)
        raise FirewallError(refused)
    if stop() and code in (child.EXIT_INTERRUPTED, -signal.SIGTERM):
        raise InterruptedTrainingError("Stopped during training; run again to go on.")
    if code != 0 or not entry.trained:
        raise RunStateError(failure)


def ranks_of(context: JobContext, entry: PlannedStage) -> int:
    """Processes that train a stage: no more than its batches have images; one for a labelling stage."""
    stage = entry.stage
    return 1 if stage.labeller is not None else min(context.spec.devices, stage.settings.batch_size)


def _wait(team: Sequence[BaseProcess], stop: Callable[[], bool]) -> int | None:
    """Waits until all have ended, and returns how the first one did that did not end well.

    Where one ends otherwise the rest cannot go on, and is ended, too: first those that say why are given a moment.
    """
    first: int | None = None
    while any(process.is_alive() for process in team):
        connection.wait([process.sentinel for process in team if process.is_alive()], _STOP_POLL_SECONDS)
        if stop():  # asked of us alone, or before the child could listen
            for process in team:
                process.terminate()
        ended = {process.exitcode for process in team} - {None, 0, child.EXIT_INTERRUPTED}
        if ended and first is None and len(team) > 1:
            first = min(
                code for code in ended if code is not None
            )  # a signal before errors that follow from it
            _end(team)
    return first or next((process.exitcode for process in team if process.exitcode != 0), 0)


def _end(team: Sequence[BaseProcess]) -> None:
    """Ends those that wait for one that is gone."""
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in team:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()


def _refused(heard: Connection) -> str | None:
    """What the training was refused first; it may be running on in a process that it left."""
    os.set_blocking(heard.fileno(), False)
    try:
        text = os.read(heard.fileno(), _LINE_BYTES).decode(errors="replace")
    except BlockingIOError:
        return None
    return text.partition("\n")[0] or None


def _forget(entry: PlannedStage) -> None:
    """Deletes what a training was saved as and what it ended with, so that it cannot go on from there."""
    for file in (entry.folder / "result.json", *entry.folder.rglob("checkpoint.safetensors")):
        file.unlink(missing_ok=True)


def _failure(told: Connection, code: int | None) -> str:
    """Why a training failed, as it told or as its end tells; a process that it left may hold the pipe open."""
    try:
        killed = code is not None and code < 0
        return (
            told.recv_bytes().decode(errors="replace")
            if told.poll() and not killed
            else ending("The training process", code)
        )
    except (EOFError, OSError):
        return ending("The training process", code)
