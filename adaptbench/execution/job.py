"""One job, in its own process: stages, then evaluation, then the record.

`python -m adaptbench.execution` starts it. Each stage is trained by a forked child that is sealed off from
target labels (see `adaptbench.data.firewall`); this process waits for it and only then opens labels to score.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from adaptbench import signals
from adaptbench.contracts.keeping import KEEP_ALL
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.execution import scoring, stream_scores
from adaptbench.execution.job_context import JobContext, open_job_context
from adaptbench.execution.launch import freed_memory, processes
from adaptbench.execution.launch.endings import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_WAITING,
    keep_traceback,
    reason_of,
)
from adaptbench.execution.stages import cleaning
from adaptbench.execution.stages.planned import PlannedStage
from adaptbench.execution.stages.progress import say
from adaptbench.execution.stages.run import StageTakenError, end_of_claim, run_all
from adaptbench.records import formatting, jobspec
from adaptbench.records.confusion_files import PerImageConfusion, matrices_file
from adaptbench.records.jobspec import State, Status
from adaptbench.records.kept import load_kept
from adaptbench.records.record import Record, save_record
from adaptbench.storage import claims, streams
from adaptbench.storage.atomic import sweep, write_text
from adaptbench.storage.claims import Claim, Turn, Watch


def main(folder: Path, turn: int | None = None) -> int:
    """Runs the job in ``folder``; returns the exit status: 0 done, 1 failed, 75 waits for a stage, 130 interrupted.

    ``turn`` is that of the command that starts it, and gives it its claim to the job.
    """
    streams.keep_talking()
    stop = signals.stop_flag()
    try:
        claim = _claimed(folder, turn)
        if claim is None:
            print("Another run works on this job.", file=sys.stderr)  # noqa: T201
            return EXIT_INTERRUPTED
        with claims.kept(claim, end_of_claim):
            return _guarded(folder, stop, claim)
    except Exception as error:
        print(f"The job folder {folder} cannot be used: {reason_of(error)}", file=sys.stderr)  # noqa: T201
        return EXIT_FAILED


def _claimed(folder: Path, turn: int | None) -> Claim | None:
    worker = claims.worker_name(os.getppid())
    if turn is None:
        return claims.take_free(folder, Watch(), worker)
    return claims.take(folder, Turn(turn), worker)


def _guarded(folder: Path, stop: Callable[[], bool], claim: Claim) -> int:
    """Runs the job; every way it can end is written to its status file."""
    if (folder / "record.json").exists():  # another run finished it just now, or splits were added
        record = load_kept(folder / "record.json")
        if record.covers(jobspec.load_job(folder).also):
            jobspec.write_status(folder, _done(record))
            return 0
    sweep(folder)
    (folder / "traceback.txt").unlink(missing_ok=True)
    try:
        jobspec.write_status(folder, Status(state=State.RUNNING, stage="starting"))
        _run(folder, stop, claim)
    except InterruptedTrainingError as interruption:
        print(interruption, file=sys.stderr)  # noqa: T201
        jobspec.write_status(folder, Status(state=State.INTERRUPTED, reason=str(interruption)))
        return EXIT_INTERRUPTED
    except StageTakenError as taken:
        say(str(taken))
        jobspec.write_status(folder, taken.status)
        return EXIT_WAITING
    except Exception as error:
        reason = reason_of(error)
        if not (folder / "traceback.txt").exists():  # else it is that of the training, which tells more
            keep_traceback(folder)
        print(reason, file=sys.stderr)  # noqa: T201
        jobspec.write_status(folder, Status(state=State.FAILED, reason=reason))
        return EXIT_FAILED
    return 0


def _run(folder: Path, stop: Callable[[], bool], claim: Claim) -> None:
    spec = jobspec.load_job(folder)
    processes.fix_threads(spec.threads)
    freed_memory.keep()
    say(f"{spec.method} on {spec.board}, seed {spec.seed}: begins")
    context = open_job_context(spec, folder)
    results = run_all(context, stop)
    scored = scoring.run(context, results[-1], stop)
    record = scoring.build_record(context, results, scored)
    _join_metrics(context, results)
    if not claim.ours:
        end_of_claim()
    save_record(record, folder / "record.json")
    jobspec.write_status(folder, _done(record))
    for one in record.scores:
        say(f"{one.split}: mIoU {one.miou:.2f} ({one.class_set}, {one.provenance} data)")
    if spec.keep_weights != KEEP_ALL:
        _clean(context)


def _clean(context: JobContext) -> None:
    """Removes what is not to be kept of the job's stages; it is done whether that succeeds or not."""
    try:
        removed = cleaning.remove(context.out, job=context.folder)
    except (RunStateError, OSError) as error:
        say(f"weights are kept: {error}")
        return
    size = formatting.memory(sum(one.size for one in removed) / 2**20)
    say(f"removed {size} of weights and pseudo-labels (--keep-weights {context.spec.keep_weights})")


def _done(record: Record) -> Status:
    ranked = record.scores[0]
    return Status(state=State.DONE, miou=ranked.miou, scored=f"{ranked.class_set}, {ranked.split}")


def _join_metrics(context: JobContext, results: list[PlannedStage]) -> None:
    """The job's ``metrics.jsonl``: those of its stages, one after the other; of a stream also how it was scored."""
    logs = [result.metrics() for result in results if not result.stage.adapts]
    texts = [path.read_text(encoding="utf-8") for path in logs if path.exists()]
    if context.benchmark.stream is not None:
        ranked = matrices_file(context.folder, str(context.benchmark.evaluation[0]))
        losses = results[-1].metrics() if results[-1].stage.adapts else None
        texts.append(stream_scores.curve(context, losses, PerImageConfusion.load(ranked)))
    write_text(context.folder / "metrics.jsonl", "".join(texts))
