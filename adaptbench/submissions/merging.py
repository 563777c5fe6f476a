"""Takes contributions that hold into a results folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.errors import RunStateError
from adaptbench.records.confusion_files import PerImageConfusion, matrices_file, matrices_path
from adaptbench.records.found import find_records
from adaptbench.records.jobspec import State, Status, write_status
from adaptbench.records.record import Record, folder_of, save_record
from adaptbench.storage import claims
from adaptbench.storage.atomic import cannot_write
from adaptbench.submissions.checks import Known, Objection, objections
from adaptbench.submissions.pack import Contribution, read_zip

_log = logging.getLogger(__name__)


def merge(
    paths: Iterable[Path], out: Path, registry: plugins.Registry
) -> Iterator[tuple[Path, Path | list[Objection]]]:
    """Adds contributions to ``out``, marked as submitted, one after the other.

    Yields:
        The path of each, and its folder in ``out``; or why it is not taken.
    """
    here = find_records(out)
    for path in paths:
        try:
            found = read_zip(path)
        except RunStateError as error:
            yield path, [Objection("archive", str(error))]
            continue
        siblings = _siblings(found.record, here, out)
        wrong = objections(found, Known(registry, _same_board(found.record, here, out), siblings))
        outcome = wrong or _put_if_there_is_room(found, out)
        if isinstance(outcome, Path):
            here.append(found.record)
        yield path, outcome


def _same_board(record: Record, here: Iterable[Record], out: Path) -> dict[str, PerImageConfusion]:
    """Matrices of runs of the same protocol, one per split."""
    found: dict[str, PerImageConfusion] = {}
    for other in here:
        if other.ranking_hash != record.ranking_hash or other.smoke:
            continue
        for score in other.scores:
            path = matrices_path(out, other, score.split)
            kept = None if score.split in found else _kept(path)
            if kept is not None:
                found[score.split] = kept
    return found


def _siblings(record: Record, here: Iterable[Record], out: Path) -> list[tuple[Record, PerImageConfusion]]:
    """Runs of the same method and protocol, with their matrices on the ranked split."""
    same = (one for one in here if (one.method, one.ranking_hash) == (record.method, record.ranking_hash))
    found = ((one, _kept(matrices_path(out, one, one.scores[0].split))) for one in same)
    return [(one, kept) for one, kept in found if kept is not None]


def _kept(path: Path) -> PerImageConfusion | None:
    """The matrices of a run that is here; None if they are gone, or damaged as is said."""
    if not path.exists():
        return None
    try:
        return PerImageConfusion.load(path)
    except RunStateError as error:
        _log.warning("Nothing is compared with a run that is here: %s", error)
        return None


def _put_if_there_is_room(found: Contribution, out: Path) -> Path | list[Objection]:
    """The same as `_put`, where others may still find room if this one does not."""
    try:
        return _put(found, out)
    except RunStateError as error:
        return [Objection("writing", str(error))]
    except OSError as error:
        return [Objection("writing", str(cannot_write(folder_of(found.record, out), error)))]


def _put(found: Contribution, out: Path) -> Path | list[Objection]:
    """Writes matrices, then the record, as a job does; never over a run that is here."""
    record = found.record
    folder = folder_of(record, out)
    folder.mkdir(parents=True, exist_ok=True)
    with claims.briefly(folder) as held:
        if not held:
            return [Objection("already here", f"a run is working on this job in {folder}")]
        if (folder / "record.json").exists():
            return [Objection("already here", f"{folder} holds a finished run of this job")]
        for split, matrices in found.matrices.items():
            matrices.save(matrices_file(folder, split))
        save_record(record.model_copy(update={"origin": "submitted"}), folder / "record.json")
        ranked = record.scores[0]
        scored = f"{ranked.class_set}, {ranked.split}"
        write_status(folder, Status(state=State.DONE, miou=ranked.miou, scored=scored))
    return folder
