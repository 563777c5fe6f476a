"""``cancel``: keeps jobs from running, until they are resumed. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adaptbench.commands.output import console, say
from adaptbench.errors import RunStateError, UsageError
from adaptbench.flags import Cancel
from adaptbench.records import cancelled, documents
from adaptbench.records.jobspec import load_job


def execute(command: Cancel) -> int:
    """Cancels jobs, or resumes them.

    Raises:
        UsageError: there is no such results folder or job, or single jobs are resumed of a folder that is cancelled.
        RunStateError: the folder cannot be written.
    """
    out, said = command.out, console()
    if not out.is_dir():
        raise UsageError(f"--out {out}: there is no such results folder.")
    single = bool(command.jobs)
    if single and command.resume and cancelled.is_marked(out):
        raise UsageError("All jobs are cancelled. Resume all of them: leave --jobs out.")
    places = _named(command.jobs, out) if single else [out]
    what = f"{len(places)} {'job' if len(places) == 1 else 'jobs'}" if single else f"all jobs of {out}"
    if command.resume:
        places += [] if single else _jobs(out)
        found = sum([cancelled.resume(place) for place in places])
        say(said, f"Resumed {what}; start workers to go on." if found else "Nothing was cancelled.")
        return 0
    for place in places:
        cancelled.cancel(place)
    say(
        said,
        f"Cancelled {what}: those that run save a checkpoint and stop, and none is begun until cancel --resume.",
    )
    return 0


def _jobs(out: Path) -> list[Path]:
    return [file.parent for file in documents.find(out, "runs", "job.json")[0]]


def _named(names: Sequence[str], out: Path) -> list[Path]:
    """The folders of the jobs that are named; a UsageError for a name of none."""
    folders = _jobs(out)
    found = {name: [folder for folder in folders if _is_called(folder, name)] for name in names}
    for name, some in found.items():
        if not some:
            raise UsageError(
                f"--jobs {name}: no job of {out} is of this method, has this folder, or a hash that starts so. "
                "adaptbench ls runs lists them."
            )
    return list(dict.fromkeys(folder for some in found.values() for folder in some))


def _is_called(folder: Path, name: str) -> bool:
    if name in (folder.name, folder.parent.name) or Path(name).resolve() == folder.resolve():
        return True
    try:
        return len(name) >= 4 and load_job(folder).job_hash.startswith(name)
    except RunStateError:
        return False
