"""Energy of a training, counted by a made-up NVML."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from adaptbench.training.energy import EnergyMeter, energy_meter


class NVMLError(Exception):
    pass


def nvml(readings: list[float], counts: bool = True) -> Any:
    """Gives the readings one after the other, in millijoules."""

    def total(handle: object) -> float:
        if not counts:
            raise NVMLError
        return readings.pop(0) if len(readings) > 1 else readings[0]

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=total,
    )


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1-2"))
    return torch.device("cuda")


def test_laps_add_up(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml([0.0, 5000.0, 8000.0, 20000.0]))
    meter = energy_meter(gpu)
    meter.start()
    meter.lap()
    assert meter.joules == 3.0
    meter.lap()
    assert meter.joules == 15.0


def test_a_resumed_training_goes_on_counting() -> None:
    meter = EnergyMeter(lambda: 7.0, 0.0)
    meter.joules = 100.0
    meter.start()
    meter.lap()
    assert meter.joules == 100.0


def test_what_was_not_counted_once_stays_unknown() -> None:
    meter = EnergyMeter(lambda: 7.0, None)
    meter.start()
    meter.lap()
    assert meter.joules is None


def test_a_gpu_that_does_not_count_is_unknown(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml([0.0], counts=False))
    assert energy_meter(gpu).joules is None


def test_without_the_package_it_is_unknown(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_meter(gpu).joules is None


def test_a_cpu_counts_nothing() -> None:
    meter = energy_meter(torch.device("cpu"))
    meter.start()
    meter.lap()
    assert meter.joules is None
