"""Where jobs run: the CPU, or GPUs that torch can use, which are found without importing torch."""

from __future__ import annotations

import ctypes
import runpy
from functools import cache
from importlib import metadata
from typing import Any

from adaptbench.errors import UsageError, unknown_name

_DRIVER = "libcuda.so.1"


def device_name(name: str, *, elsewhere: bool = False) -> str:
    """``cpu`` or ``cuda``; ``auto`` is the GPU where there is one, and ``cuda`` a UsageError where not.

    What is run ``elsewhere`` has to say which, since the GPUs of this machine tell nothing.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise unknown_name("device", name, ("auto", "cpu", "cuda"))
    if elsewhere and name == "auto":
        raise UsageError("--device auto: jobs will run on other machines. Say --device cuda or --device cpu.")
    if elsewhere:
        return name
    usable = bool(gpus())
    if name == "cuda" and not usable:
        raise UsageError("--device cuda: torch sees no usable GPU on this machine. Use --device cpu.")
    return "cuda" if usable and name != "cpu" else "cpu"


@cache
def gpus() -> tuple[str, ...]:
    """Titles of the GPUs that torch can use, without those that CUDA_VISIBLE_DEVICES hides."""
    try:
        torch = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return ()
    built = runpy.run_path(str(torch.locate_file("torch/version.py")))
    if built["hip"] is not None:
        return _seen_by_torch()
    return () if built["cuda"] is None else _seen_by_driver(_driver(), int(built["cuda"].partition(".")[0]))


def _seen_by_torch() -> tuple[str, ...]:
    import torch

    found = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return tuple(torch.cuda.get_device_name(index) for index in found)


def _driver() -> Any:
    """The library of the CUDA driver; None where there is none."""
    try:
        return ctypes.CDLL(_DRIVER)
    except OSError:
        return None


def _seen_by_driver(driver: Any, cuda: int) -> tuple[str, ...]:
    """GPUs of the driver; none if it is older than the major version of CUDA that torch is built for.

    Source: CUDA driver API; every function returns 0 for success.
    """
    if driver is None or driver.cuInit(0) != 0:
        return ()
    version, count = ctypes.c_int(), ctypes.c_int()
    failed = driver.cuDriverGetVersion(ctypes.byref(version)) or driver.cuDeviceGetCount(ctypes.byref(count))
    if failed or version.value // 1000 < cuda:
        return ()
    return tuple(_title(driver, index) for index in range(count.value))


def _title(driver: Any, index: int) -> str:
    device, text = ctypes.c_int(), ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(text, len(text), device)
    return text.value.decode()
