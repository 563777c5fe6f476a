"""What nobody is to run until it is resumed: a file in the folder of a job, or of all results for all of their jobs."""

from __future__ import annotations

from pathlib import Path

from adaptbench.records.jobspec import results_of
from adaptbench.storage.atomic import cannot_write, write_text

_NAME = "cancelled"
#: What the status of a job says that was stopped, or was not begun.
REASON = "Cancelled; adaptbench cancel --resume lets it go on."


def cancel(folder: Path) -> None:
    """Cancels a job, or with a results folder all jobs that are in it and that will be."""
    write_text(folder / _NAME, f"{REASON}\n")


def resume(folder: Path) -> bool:
    """Takes that back; whether there was anything to take back.

    Raises:
        RunStateError: the folder cannot be written.
    """
    try:
        (folder / _NAME).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise cannot_write(folder / _NAME, error) from error
    return True


def is_cancelled(job: Path) -> bool:
    """Whether the job in this folder is cancelled, alone or with all others."""
    return is_marked(job) or is_marked(results_of(job))


def is_marked(folder: Path) -> bool:
    """Whether this job itself is cancelled, or all jobs of this results folder."""
    return (folder / _NAME).exists()
