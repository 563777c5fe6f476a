"""Runs the stages of a job that are not finished yet, each in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from adaptbench.errors import FirewallError, InterruptedTrainingError, RunStateError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.launch.endings import ending
from adaptbench.execution.stages import child
from adaptbench.execution.stages.cleaning import wait_until_removed
from adaptbench.execution.stages.planned import RESULT, PlannedStage, asked_for, identity, plan_stages
from adaptbench.execution.stages.progress import say
from adaptbench.execution.stages.sealing import Outside
from adaptbench.execution.stages.selection import complete, remove_others, select
from adaptbench.execution.stages.team import ranks_of, wait_for
from adaptbench.ranks.group import Ranks
from adaptbench.records.curves import link_stage
from adaptbench.records.jobspec import State, Status, write_status
from adaptbench.storage import claims
from adaptbench.storage.atomic import sweep, write_text
from adaptbench.storage.claims import Watch

_LINE_BYTES = 1 << 16


class StageTakenError(Exception):
    """Another job works on a stage that this one needs."""

    def __init__(self, entry: PlannedStage) -> None:
        reason = f"It waits for the stage {entry.stage.name}, which another job trains ({entry.folder})."
        super().__init__(reason)
        name, waits_for = entry.stage.name, entry.folder.name
        self.status = Status(state=State.WAITING, stage=name, reason=reason, waits_for=waits_for)


def run_all(context: JobContext, stop: Callable[[], bool]) -> list[PlannedStage]:
    """Runs every stage of the job that is not finished yet, in order, and returns them all.

    Raises:
        FirewallError: a training was refused a label; what it was saved as is deleted.
        InterruptedTrainingError: asked to stop; the running stage is saved.
        RunStateError: a training failed; its traceback is in the job's folder.
        StageTakenError: another job trains a stage; those before it are done.
    """
    wait_until_removed(context.out, stop)
    planned = plan_stages(context)
    asked = asked_for(planned)
    for index, entry in enumerate(planned):
        entry.folder.mkdir(parents=True, exist_ok=True)
        link_stage(context.folder, entry.stage.name, entry.folder, index)
        write_status(context.folder, Status(state=State.RUNNING, stage=entry.stage.name))
        if entry.done and entry.selection is None:
            say(f"{entry.stage.name}: done before, {entry.folder.name}")
            continue
        if entry.was_trained and entry.hash not in asked:
            say(f"{entry.stage.name}: done before, its weights removed, {entry.folder.name}")
            continue
        with _claimed(entry):
            if entry.done:
                say(f"{entry.stage.name}: done before, {entry.folder.name}")
            else:
                sweep(entry.folder)
            if not entry.trained or (not entry.done and not complete(entry, context)):
                facts = json.dumps(identity(context, entry), indent=1, sort_keys=True)
                write_text(entry.folder / "stage.json", facts + "\n")
                if not entry.trained:
                    (entry.folder / RESULT).unlink(missing_ok=True)  # of weights that were removed
                _train_in_child(context, index, entry, stop)
            if not entry.done:
                select(context, entry, stop)
            if entry.selection is not None:
                remove_others(entry)
    return planned


@contextmanager
def _claimed(entry: PlannedStage) -> Iterator[None]:
    """Holds the stage while the block runs."""
    claim = claims.take_free(entry.folder, Watch(), claims.worker_name(os.getppid()))
    if claim is None:
        raise StageTakenError(entry)
    with claims.kept(claim, end_of_claim):
        yield


def end_of_claim() -> None:
    """Ends this job at once, training included: it was suspended or cut off, and another run has taken over."""
    say("another run has taken over, since there was no heartbeat of this one")
    leads = os.getpgid(0) == os.getpid()
    os.kill(-os.getpid() if leads else os.getpid(), signal.SIGKILL)


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
        count = ranks_of(context.spec, entry.stage)
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
        code = wait_for(team, stop)
        refused, failure = _refused(heard), _failure(told, code)
    if refused is not None:
        _forget(entry)
        raise FirewallError(refused)
    if stop() and code in (child.EXIT_INTERRUPTED, -signal.SIGTERM):
        raise InterruptedTrainingError("Stopped during training; run again to go on.")
    if code != 0 or not entry.trained:
        raise RunStateError(failure)


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
    for file in (entry.folder / RESULT, *entry.folder.rglob("checkpoint.safetensors")):
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
