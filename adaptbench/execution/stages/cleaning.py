"""What finished jobs leave in the stages of a results folder and nobody asks for, and its removal.

A job says what is to stay of it; what several jobs share stays as long as one of them keeps it. What a job that is not
done may need stays, and so does what somebody works on. Scores, logs and costs of a stage always stay.

Who removes holds the claim of ``OUT/stages`` and looks at all jobs then. Jobs begin when nobody has it. So no weights
go between the moment at which a job finds its stage done and that at which it reads them.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from adaptbench.contracts.keeping import KeepWeights
from adaptbench.data import pseudo_labels
from adaptbench.errors import InterruptedTrainingError, RunStateError, of_system
from adaptbench.execution.job_context import described
from adaptbench.execution.launch.endings import reason_of
from adaptbench.execution.stages.choice import selection_by, weights_name
from adaptbench.execution.stages.planned import RESULT, plan_stages
from adaptbench.records import documents
from adaptbench.records.curves import stage_folders
from adaptbench.records.jobspec import JobSpec, State, load_job, read_status
from adaptbench.storage import claims
from adaptbench.storage.claims import Claim, Watch

#: How long somebody else who removes is waited for, and how often is looked. Units: seconds.
_PATIENCE_SECONDS, _POLL_SECONDS = 60.0, 0.2
_CHECKPOINT = "checkpoint.safetensors"


class Kind(StrEnum):
    """What is left."""

    WEIGHTS = "weights of finished runs"
    LABELS = "pseudo-labels of finished runs"
    CHECKPOINTS = "checkpoints of finished trainings"
    ABANDONED = "stages of deleted runs"


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go.

    Attributes:
        size: of all that is in it. Units: bytes.
    """

    kind: Kind
    stage: Path
    path: Path
    size: int


@dataclass(frozen=True)
class _Jobs:
    """The jobs of a results folder.

    Attributes:
        finished: those that are done and have a stage, by its name.
        needed: names of the stages that the others may need.
    """

    finished: Mapping[str, Sequence[Path]]
    needed: frozenset[str]


def leftovers(out: Path, keep: KeepWeights | None = None, job: Path | None = None) -> list[Leftover]:
    """What may go, in the order in which it has to, so that a removal may end anywhere.

    Args:
        out: the results folder.
        keep: what stays of every finished job; None = what it was told to keep.
        job: look at the stages of this one alone.

    Raises:
        RunStateError: it cannot be told what a job needs or keeps.
    """
    jobs, watch = _look(out, None if job is None else load_job(job).seed), Watch()
    stages = _all_stages(out) if job is None else stage_folders(job)
    free = [one for one in stages if one.name not in jobs.needed and not watch.held(one)]
    return [found for stage in free for found in _of(stage, jobs.finished.get(stage.name, ()), keep)]


def remove(
    out: Path,
    keep: KeepWeights | None = None,
    job: Path | None = None,
    among: Iterable[Leftover] | None = None,
) -> list[Leftover]:
    """Removes what may go, of ``among`` if that is given, and returns it.

    Raises:
        RunStateError: as `leftovers`; or somebody else removes, or a file cannot be removed.
    """
    if not (out / "stages").is_dir():
        return []
    with _alone(out) as claim:
        found = leftovers(out, keep, job)
        allowed = found if among is None else {*among}.intersection(found)
        wanted = [one for one in found if one in allowed]
        parts = [list(of_stage) for _, of_stage in groupby(wanted, lambda one: one.stage)]
        return [one for part in parts for one in _removed(part, claim)]


def wait_until_removed(out: Path, stop: Callable[[], bool]) -> None:
    """Waits while somebody removes; an InterruptedTrainingError if asked to stop."""
    watch = Watch()
    while watch.held(out / "stages"):
        if stop():
            raise InterruptedTrainingError("Stopped before it began; run again to go on.")
        time.sleep(_POLL_SECONDS)


def _look(out: Path, seed: int | None) -> _Jobs:
    """All jobs; what is needed by those with this seed alone if one is given, as stages of others have other seeds."""
    files, closed = documents.find(out, "runs", "job.json")
    if closed:
        raise _untold(closed[0].path, closed[0].reason)
    watch, finished = Watch(), defaultdict[str, list[Path]](list)
    needed: set[str] = set()
    for folder in (file.parent for file in files):
        own = [stage.name for stage in stage_folders(folder)]
        if read_status(folder, watch).state is State.DONE and (folder / "record.json").exists():
            for name in own:
                finished[name].append(folder)
        else:
            needed.update(own, _planned(folder, seed))
    return _Jobs(finished, frozenset(needed))


def _planned(folder: Path, seed: int | None = None) -> set[str]:
    """Names of the stages of a job that may not have begun; none of one with another seed."""
    try:
        spec = load_job(folder)
        if seed not in (None, spec.seed):
            return set()
        return {entry.hash for entry in plan_stages(described(spec, folder))}
    except Exception as error:  # of plug-ins, too
        raise _untold(str(folder), reason_of(error)) from error


def _untold(folder: str, reason: str) -> RunStateError:
    return RunStateError(
        f"Nothing is removed, since it cannot be told which stages {folder} needs, which is not done: {reason} "
        "Finish that run, or delete its folder."
    )


def _all_stages(out: Path) -> list[Path]:
    found = (out / "stages").glob("*")
    return sorted(path for path in found if path.name != claims.FOLDER and path.is_dir())


def _of(stage: Path, jobs: Sequence[Path], keep: KeepWeights | None) -> Iterator[Leftover]:
    """What may go of a stage that these finished jobs have, and no other."""
    if not jobs:
        if any(path.name != claims.FOLDER for path in stage.iterdir()):
            yield from _leftovers(Kind.ABANDONED, stage, [stage])
    elif (stage / RESULT).exists():
        kept = _kept(stage, jobs, keep)
        yield from _leftovers(Kind.CHECKPOINTS, stage, stage.rglob(_CHECKPOINT))
        if kept is None:
            return
        networks = (*stage.glob("*.safetensors"), *stage.glob("snapshots/*.safetensors"))  # links first
        gone = [path for path in networks if path.name != _CHECKPOINT and path.resolve() not in kept]
        yield from _leftovers(Kind.WEIGHTS, stage, gone)
        # Without its table, a stage counts as not labelled.
        yield from _leftovers(Kind.LABELS, stage, (stage / pseudo_labels.TABLE, stage / "labels"))


def _kept(stage: Path, jobs: Sequence[Path], keep: KeepWeights | None) -> set[Path] | None:
    """The files of weights that some job keeps; None = all, and pseudo-labels."""
    kept: set[Path] = set()
    for folder in jobs:
        spec = load_job(folder)
        wish = keep or spec.keep_weights
        if wish == "all":
            return None
        if wish == "last" and stage_folders(folder)[-1].name == stage.name:
            kept |= {(stage / name).resolve() for name in _scored(spec)}
    return kept


def _scored(spec: JobSpec) -> set[str]:
    """Names of the scored weights of a job, and of the last iterate, without which a stage counts as not trained."""
    rule = spec.ranking["checkpoint"]
    return {weights_name(None), weights_name(None if rule == "last" else selection_by(rule, spec))}


def _leftovers(kind: Kind, stage: Path, paths: Iterable[Path]) -> Iterator[Leftover]:
    yield from (
        Leftover(kind, stage, path, _size(path)) for path in paths if path.is_symlink() or path.exists()
    )


def _size(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(one.lstat().st_size for one in inside if one.is_symlink() or one.is_file())


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[Claim]:
    """Holds the claim of all stages while the block runs."""
    place, watch, deadline = out / "stages", Watch(), time.monotonic() + _PATIENCE_SECONDS
    while (claim := claims.take_free(place, watch, claims.worker_name())) is None:
        if time.monotonic() > deadline:
            raise RunStateError(f"Somebody else cleans {place}. Wait for it, or stop it, and try again.")
        time.sleep(_POLL_SECONDS)
    with claims.kept(claim, lambda: None):
        yield claim


def _removed(part: Sequence[Leftover], claim: Claim) -> Sequence[Leftover]:
    """Removes leftovers of one stage, unless somebody works on it."""
    if not claim.ours:
        raise RunStateError(
            f"Somebody else has begun to clean {claim.folder}, as we were silent for too long."
        )
    with claims.briefly(part[0].stage) as held:
        if not held:
            return []
        for one in part:
            _delete(one.path)
    return part


def _delete(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            (path / RESULT).unlink(missing_ok=True)  # first: without it, half a stage counts as not trained
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise RunStateError(f"It cannot be removed: {of_system(error, str(path))}") from error
