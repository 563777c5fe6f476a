"""Puts generated datasets on disk, once: complete, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from adaptbench.data import workers as processes
from adaptbench.data.generated_files import FOLDER, MARKER, write_marker
from adaptbench.data.minicity.spec import WorldSpec, fingerprint, specification
from adaptbench.data.minicity.world import draw_image
from adaptbench.data.minicity.write import SPLITS, WRITERS
from adaptbench.errors import DataError, UsageError, unknown_name

Progress = Callable[[int, int], None]
#: Images that a process of its own is worth.
_LEAST_PER_WORKER = 16

_Task = tuple[WorldSpec, str, str, int, str]


def cache_folder() -> Path:
    """``$ADAPTBENCH_CACHE``, else ``adaptbench`` in the user's cache folder.

    Raises:
        UsageError: neither is known, as there is no home folder.
    """
    if named := os.environ.get("ADAPTBENCH_CACHE"):
        return Path(named).expanduser()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptbench"
    except RuntimeError as error:
        raise UsageError(
            "There is no home folder to cache generated images in. Set HOME, or ADAPTBENCH_CACHE to a folder."
        ) from error


def ensure(
    spec: WorldSpec,
    dataset: str,
    counts: Mapping[str, int],
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Path:
    """Folder of a generated dataset; it is generated first if the cache does not hold it.

    Two processes that ask at once generate once: the second one waits. A generation that is
    interrupted or killed leaves nothing that could be taken for data.

    Args:
        spec: the dials of the world.
        dataset: a key of `adaptbench.data.minicity.write.WRITERS`.
        counts: images per split, for example ``{"train": 200, "val": 60}``.
        cache: default `cache_folder`.
        progress: called with (images written, images in all).
        workers: processes; default one per core this process may use, if there are many images. 1 stays in
            this process; with more, a script that calls this needs the usual ``if __name__ == "__main__"``.

    Raises:
        UsageError: unknown dataset or split, or a count that is not a number >= 0.
        DataError: the cache cannot be written, or its disk is full.
    """
    _check(dataset, counts)
    folder = (cache or cache_folder()) / FOLDER
    root = folder / f"{dataset}-{fingerprint(spec, dataset, counts)}"
    if (root / MARKER).is_file():
        return root
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{root.name}.lock"):
            if not (root / MARKER).is_file():
                _generate(spec, dataset, counts, root, progress, workers)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        problem = "No space left" if full else f"Cannot write ({error.strerror or error})"
        raise DataError(
            f"{problem} in {folder}, where generated images are cached; nothing half-written was kept. "
            "Free some space or set ADAPTBENCH_CACHE to a folder on another disk."
        ) from error
    return root


def _check(dataset: str, counts: Mapping[str, int]) -> None:
    if dataset not in WRITERS:
        raise unknown_name("MiniCity dataset", dataset, WRITERS)
    for split, count in counts.items():
        if split not in SPLITS[dataset]:
            raise unknown_name(f"split of {dataset}", split, SPLITS[dataset])
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise UsageError(
                f"The number of {dataset} {split} images must be a whole number >= 0, found {count!r}."
            )


def _generate(
    spec: WorldSpec,
    dataset: str,
    counts: Mapping[str, int],
    root: Path,
    progress: Progress | None,
    workers: int | None,
) -> None:
    """Generates beside ``root`` and renames; the caller holds the lock."""
    _sweep(root)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}.tmp-", dir=root.parent))
    try:
        tasks = [(spec, dataset, split, i, str(unfinished)) for split, n in counts.items() for i in range(n)]
        with closing(_run(tasks, workers)) as written:  # an interrupted caller ends the workers first
            for done, _ in enumerate(written, start=1):
                if progress is not None:
                    progress(done, len(tasks))
        write_marker(unfinished, specification(spec, dataset, counts))
        unfinished.chmod(0o755)
        if root.exists():  # without its marker: not ours to trust
            shutil.rmtree(root)
        unfinished.rename(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Removes what killed generations of this dataset left behind; the caller holds the lock."""
    for left_over in root.parent.glob(f".{root.name}.tmp-*"):
        shutil.rmtree(left_over, ignore_errors=True)


def _write(task: _Task) -> None:
    spec, dataset, split, index, root = task
    WRITERS[dataset](Path(root), split, index, *draw_image(spec, dataset, split, index))


def _worth_starting(images: int) -> int:
    """One process per core, but none for few images: it takes as long to start as to write a dozen."""
    return min(len(os.sched_getaffinity(0)), images // _LEAST_PER_WORKER)


def _run(tasks: list[_Task], workers: int | None) -> Generator[None]:
    """Writes all images; yields once per image."""
    workers = min(workers or _worth_starting(len(tasks)), len(tasks))
    if workers <= 1:
        yield from map(_write, tasks)
        return
    yield from processes.each(_write, tasks, workers)
