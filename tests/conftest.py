"""For all tests and the processes they start: one thread, no network, and no start weights of the user's."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from adaptbench.imports import without

# Before torch and OpenCV are imported. Tests run beside each other, and small steps gain nothing by more threads.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"))
os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's library is imported
os.environ.pop("ADAPTBENCH_WEIGHTS", None)

# pytest tests/unit/fuzz --hypothesis-profile campaign: many examples, for hours in which nobody waits.
settings.register_profile(
    "campaign", max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck)
)


# What is imported stays: looking through it for garbage takes seconds, here and in every fork.
gc.disable()
atexit.register(gc.unfreeze)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Tests are collected without transformers, which mmengine would import: a third of the time it takes."""
    with without("transformers"):
        return (yield)


def pytest_collection_finish() -> None:
    """Garbage is collected from here on, but not among what is imported until now."""
    gc.freeze()
    gc.enable()
