"""AdaptBench: a benchmark for unsupervised domain adaptation and generalization of semantic segmentation."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptbench.commands.api import load_results, run

# Pillow's own limit, for a file of a few kilobytes that unpacks to gigabytes. OpenCV reads it when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "178956970")

__version__ = "0.1.0"
__all__ = ["__version__", "load_results", "run"]


def __getattr__(name: str) -> Any:
    """``run`` and ``load_results``, imported when they are used: they need what ``--help`` does not."""
    if name in ("load_results", "run"):
        return getattr(import_module("adaptbench.commands.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
