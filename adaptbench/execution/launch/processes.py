"""What a job process needs of its surroundings: threads, and a place for compiled code."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import torch

from adaptbench.data import minicity
from adaptbench.training import precision


def fix_threads(threads: int) -> None:
    """Fixes the number of threads, deterministic kernels and whole products: they decide the bits of a training.

    By default cuDNN rounds what convolutions in float32 multiply to TF32, on GPUs that have it.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # By default every new tensor is filled, so that kernels that read too early are noticed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    precision.allow_tf32(allowed=False)


def compiled_code() -> Path:
    """Where torch's compiler keeps what it made, for later trainings with the same parts."""
    return minicity.cache_folder() / "compiled"


def keep_compiled_code() -> None:
    """Tells torch's compiler where; by itself it says so to every process, and does it in a temporary folder."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(compiled_code())
