"""Puts all labels out of reach of a process that trains or labels."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from adaptbench.data import firewall, image_cache, minicity
from adaptbench.data.generated_files import MARKER
from adaptbench.data.image_cache import CachedImages
from adaptbench.data.sample import Sample
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.errors import UsageError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.launch import processes
from adaptbench.execution.stages.progress import say


class Outside(NamedTuple):
    """What the process that waits for a training gives it.

    Attributes:
        line: the end of a pipe that takes what was refused.
        reason: the end of another, which takes why it failed: a file could need room that is not there.
        scratch: a folder for temporary files, deleted afterwards.
    """

    line: Connection
    reason: Connection
    scratch: Path


def seal(context: JobContext, stream: TrainingStream, outside: Outside | None = None) -> None:
    """Puts all labels out of reach of this process, and in DG all target images, except what it trains on.

    Raises:
        UsageError: decoded images are to be kept where nothing may be read.
    """
    labelled, target = _samples(stream.labelled), _samples(stream.target)
    allowed = [path for sample in labelled for path in (sample.image, sample.label)]
    kept = _kept(stream.labelled) | _kept(stream.target)
    _make(context, kept)
    put_out_of_reach(context, [*allowed, *(sample.image for sample in target)], outside, kept)


def put_out_of_reach(
    context: JobContext,
    allowed: Collection[Path],
    outside: Outside | None = None,
    opened: Collection[Path] = (),
    closed: Collection[Path] = (),
) -> None:
    """Closes the context's folders and ``closed`` except for files ``allowed`` and folders ``opened``; logs by what."""
    if outside is not None:
        tempfile.tempdir = os.environ["TMPDIR"] = str(outside.scratch)
    lacking = firewall.seal(
        [*context.closed_folders, *closed],
        [*allowed, *_markers(context)],
        opened=opened,
        used=(
            context.folder,
            minicity.cache_folder() / "class-statistics",
            processes.compiled_code(),
            *_caches(),
        ),
        line=None if outside is None else outside.line.fileno(),
    )
    walls = (
        "by the kernel and by the audit hook" if lacking is None else f"by the audit hook alone: {lacking}"
    )
    say(f"labels are out of reach, {walls}")


def _markers(context: JobContext) -> list[Path]:
    """What says of generated images that they are as they were generated; images are read with it."""
    marked = (dataset.root / MARKER for dataset in context.datasets.values())
    return [marker for marker in marked if marker.exists()]


def _samples(domain: Domain | None) -> list[Sample]:
    return [] if domain is None else [sample for _, sample, _, _ in domain.items]


def _kept(domain: Domain | None) -> set[Path]:
    """Folders in which the images of a domain are kept decoded."""
    if domain is None:
        return set()
    beside = {(id(reader), sample.image.parent): (reader, sample) for reader, sample, _, _ in domain.items}
    return {
        reader.folder_of(sample) for reader, sample in beside.values() if isinstance(reader, CachedImages)
    }


def _make(context: JobContext, kept: Collection[Path]) -> None:
    """Makes the folders of decoded images, as none can be opened that is made later."""
    closed = {folder.resolve() for folder in context.closed_folders if folder.name != image_cache.FOLDER}
    for folder in kept:
        real = folder.resolve()
        if any(parent in closed for parent in (real, *real.parents)):
            raise UsageError(
                f"--image-cache: {real} is out of reach of trainings, like labels. Choose another folder."
            )
        with contextlib.suppress(OSError):  # then nothing is kept, and the log says why
            folder.mkdir(parents=True, exist_ok=True)


def _caches() -> list[Path]:
    """Folders that libraries make when they first need them, and read from."""
    try:
        home = Path.home()
    except RuntimeError:  # nor do they have one
        return []
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    places = {
        "HF_HOME": cache / "huggingface",
        "HF_HUB_CACHE": cache / "huggingface" / "hub",
        "TORCH_HOME": cache / "torch",
        "MPLCONFIGDIR": cache / "matplotlib",
        "TRITON_CACHE_DIR": home / ".triton",
        "CUDA_CACHE_PATH": home / ".nv",
    }
    return [Path(os.environ.get(name) or default) for name, default in places.items()]
