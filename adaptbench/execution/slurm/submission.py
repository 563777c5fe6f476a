"""Which jobs the workers of an array may take, and of which code: written with their script, and checked by each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adaptbench.contracts import plugins
from adaptbench.errors import RunStateError
from adaptbench.records import checkout, documents
from adaptbench.records.documents import Part

if TYPE_CHECKING:
    from adaptbench.planning.plan import Job

_ANEW = "Submit once more: what is trained is kept."


class Submission(Part):
    """What was submitted.

    Attributes:
        commit: of the checkout, for who reads it; empty where there is none.
        code: digest of all files of code, which decides.
        jobs: folders, relative to the results folder; their names hold the hashes of jobs.
    """

    schema_version: int = 1
    commit: str
    code: str
    jobs: tuple[str, ...]

    def only(self, jobs: Iterable[Job], out: Path) -> Submission:
        """The same for some of its jobs."""
        return self.model_copy(update={"jobs": tuple(_name(job, out) for job in jobs)})


def submission_of(jobs: Sequence[Job], out: Path) -> Submission:
    """Jobs of a results folder, with the code as it is now."""
    code = checkout.code_digest(plugins.discover(plugin_paths(jobs)))
    return Submission(commit=checkout.commit(), code=code, jobs=tuple(_name(job, out) for job in jobs))


def submitted(jobs: Sequence[Job], file: Path, out: Path) -> list[Job]:
    """The jobs of a plan that were submitted with ``file``.

    Raises:
        RunStateError: the file is damaged, the code has changed since, or the plan has, so that jobs are missing.
    """
    then = documents.read(Submission, file, "what --launcher slurm writes", _ANEW)
    now = submission_of(jobs, out)
    if now.code != then.code:
        raise RunStateError(
            f"The code in {plugins.ROOT} has changed since {file} was submitted (commit {then.commit or 'unknown'}, "
            f"now {now.commit or 'unknown'}), and jobs of one experiment would be of two versions. Put it back, or "
            "submit once more from a checkout that stays as it is."
        )
    if missing := [folder for folder in then.jobs if folder not in now.jobs]:
        raise RunStateError(
            f"{len(missing)} jobs of {file} are none of the plan any more, as {missing[0]}: data, settings or a file "
            f"of the experiment have changed since. {_ANEW}"
        )
    return [job for job in jobs if _name(job, out) in then.jobs]


def plugin_paths(jobs: Iterable[Job]) -> list[Path]:
    """What --plugins names, for a plan."""
    return [Path(path) for path in dict.fromkeys(path for job in jobs for path in job.spec.plugins)]


def _name(job: Job, out: Path) -> str:
    return os.path.relpath(job.folder, out)
