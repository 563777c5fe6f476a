"""Energy of a training, where the GPU counts it: NVML's counter of the whole board, other programs on it included."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch

#: Joules since the driver was loaded.
Counter = Callable[[], float]


@dataclass
class EnergyMeter:
    """Adds up what a counter counts between laps.

    Attributes:
        counter: of the device; None where there is none.
        joules: so far; None = unknown, which it stays.
    """

    counter: Counter | None
    joules: float | None
    _before: float = 0.0

    def start(self) -> None:
        """Begins a lap."""
        if self.counter is not None:
            self._before = self.counter()

    def lap(self) -> None:
        """Ends a lap and begins the next one."""
        if self.counter is not None and self.joules is not None:
            now = self.counter()
            self.joules, self._before = self.joules + now - self._before, now


def energy_meter(device: torch.device) -> EnergyMeter:
    """A meter for ``device``; it knows nothing on a CPU, without the package nvidia-ml-py, and on GPUs before Volta."""
    counter = _counter(device) if device.type == "cuda" else None
    return EnergyMeter(counter, None if counter is None else 0.0)


def _counter(device: torch.device) -> Counter | None:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        identity = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = nvml.nvmlDeviceGetHandleByUUID(identity)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:  # no driver, or a GPU that does not count
        return None
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
