"""Finished jobs as runs of trackers, from their records."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from adaptbench.errors import AdaptBenchError, RunStateError, UsageError
from adaptbench.records import curves
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.board import boards
from adaptbench.tracking.content import Finished, Identity, Tracker
from adaptbench.tracking.failures import sync_line, told
from adaptbench.tracking.wandb_runs import WandbTracker

_log = logging.getLogger(__name__)


def upload(records: Sequence[Record], out: Path, tracker: Tracker) -> str:
    """Makes or updates one run of every record, and the leaderboard; says where they are.

    Curves, matrices and images are read from the job folders in ``out``.

    Raises:
        UsageError: the server cannot be reached or refuses.
        RunStateError: the tracker's folder cannot be written.
    """
    try:
        for record in records:
            _upload(record, folder_of(record, out), tracker)
        tracker.leaderboard(boards(records))
    except AdaptBenchError:
        raise
    except OSError as error:
        raise RunStateError(f"Cannot write runs to {tracker.folder}: {error.strerror or error}.") from error
    except Exception as error:  # libraries of trackers raise whatever they like
        raise UsageError(
            f"{tracker.name} refused ({told(error)}). Check WANDB_API_KEY and the project, or use --wandb offline."
        ) from None
    return _said(tracker, len(records))


def _upload(record: Record, folder: Path, tracker: Tracker) -> None:
    identity = Identity.of_record(record)
    run = tracker.open(identity)
    try:
        for step, values in curves.history(folder / "metrics.jsonl", identity.classes):
            if step >= run.step:  # a run that goes on has the earlier ones
                run.log(step, values)
    except RunStateError as error:
        _log.warning("%s has no curve, or a part of it: %s", identity.name, error)
    run.complete(Finished(record, folder))
    run.close(ok=True)


def _said(tracker: Tracker, count: int) -> str:
    runs = f"{count} run{'' if count == 1 else 's'}"
    if not isinstance(tracker, WandbTracker):
        return f"{tracker.name}: {runs} in {tracker.folder}"
    if tracker.project.mode == "online":
        return f"{tracker.name}: {runs} in {tracker.url}"
    return f"{tracker.name}: {runs} kept in {tracker.folder}. To send them: {sync_line(tracker.folder)}"
