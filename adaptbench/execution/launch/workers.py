"""The commands that run jobs of a results folder, each a claim with a heartbeat in ``OUT/workers``."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from adaptbench.errors import RunStateError
from adaptbench.planning.overview import WORKERS
from adaptbench.storage import claims
from adaptbench.storage.claims import Watch


@contextlib.contextmanager
def registered(out: Path) -> Iterator[None]:
    """Names this command among the workers while the block runs, and forgets those that are gone.

    That is for who looks on: without room or rights it works unnamed.
    """
    name = claims.worker_name()
    place = out / WORKERS / name
    try:
        _forget_gone(out)
        claim = claims.take_free(place, Watch(), name)
    except (OSError, RunStateError):
        claim = None
    if claim is None:
        yield
        return
    try:
        with claims.kept(claim, lambda: None):
            yield
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _forget_gone(out: Path) -> None:
    watch = Watch()
    for place in (out / WORKERS).glob("*"):
        if not watch.held(place):
            shutil.rmtree(place, ignore_errors=True)
