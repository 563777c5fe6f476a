"""Takes contributions that hold into a results folder."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from adaptbench import plugins
from adaptbench.errors import RunStateError
from adaptbench.evaluation.confusion import PerImageConfusion
from adaptbench.jobspec import State, Status, job_folder, write_status
from adaptbench.reporting.contributions.checks import Known, Objection, objections
from adaptbench.reporting.contributions.pack import Contribution, matrices_name, read_zip
from adaptbench.reporting.matrices import matrices_path
from adaptbench.reporting.record import Record, save_record
from adaptbench.reporting.records import find_records


def merge(path: Path, out: Path, registry: plugins.Registry) -> Path | list[Objection]:
    """Adds the contribution in ``path`` to ``out``, marked as submitted, and returns its folder; or why not.

    Raises:
        RunStateError: ``out`` cannot be written.
    """
    try:
        found = read_zip(path)
    except RunStateError as error:
        return [Objection("archive", str(error))]
    wrong = objections(found, Known(registry, _here(found.record, out)))
    return wrong or _put(found, out)


def _here(record: Record, out: Path) -> dict[str, PerImageConfusion]:
    """Matrices of runs of the same protocol, one per split."""
    found: dict[str, PerImageConfusion] = {}
    for other in find_records(out):
        if other.ranking_hash != record.ranking_hash or other.smoke:
            continue
        for score in other.scores:
            path = matrices_path(out, other, score.split)
            if score.split not in found and path.exists():
                found[score.split] = PerImageConfusion.load(path)
    return found


def _put(found: Contribution, out: Path) -> Path | list[Objection]:
    """Writes matrices, then the record, as a job does; never over a run that is here."""
    record = found.record
    folder = job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            if (folder / "record.json").exists():
                return [Objection("already here", f"{folder} holds a finished run of this job")]
            for split, matrices in found.matrices.items():
                matrices.save(folder / matrices_name(split))
            save_record(record.model_copy(update={"origin": "submitted"}), folder / "record.json")
            ranked = record.scores[0]
            scored = f"{ranked.class_set}, {ranked.split}"
            write_status(folder, Status(state=State.DONE, miou=ranked.miou, scored=scored))
    except Timeout:
        return [Objection("already here", f"a run is working on this job in {folder}")]
    return folder
