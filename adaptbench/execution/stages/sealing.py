"""Puts all labels out of reach of a process that trains or labels."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from adaptbench.data import firewall, minicity
from adaptbench.data.sample import Sample
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.execution.job_context import JobContext
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
    """Puts all labels out of reach of this process, and in DG all target images, except what it trains on."""
    labelled, target = _samples(stream.labelled), _samples(stream.target)
    allowed = [path for sample in labelled for path in (sample.image, sample.label)]
    put_out_of_reach(context, [*allowed, *(sample.image for sample in target)], outside)


def put_out_of_reach(context: JobContext, allowed: Collection[Path], outside: Outside | None = None) -> None:
    """Closes the context's folders except for ``allowed``, and says in the log by what."""
    if outside is not None:
        tempfile.tempdir = os.environ["TMPDIR"] = str(outside.scratch)
    lacking = firewall.seal(
        context.closed_folders,
        allowed,
        used=(context.folder, minicity.cache_folder() / "class-statistics", *_caches()),
        line=None if outside is None else outside.line.fileno(),
    )
    walls = (
        "by the kernel and by the audit hook" if lacking is None else f"by the audit hook alone: {lacking}"
    )
    say(f"labels are out of reach, {walls}")


def _samples(domain: Domain | None) -> list[Sample]:
    return [] if domain is None else [sample for _, sample, _, _ in domain.items]


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
