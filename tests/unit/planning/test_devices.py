"""GPUs are found without torch, and are those that torch would find."""

from __future__ import annotations

import ctypes
from importlib import metadata
from typing import Any

import pytest
import torch

from adaptbench.errors import UsageError
from adaptbench.planning import devices


class Driver:
    """A CUDA driver with some GPUs."""

    def __init__(self, version: int = 13_020, names: tuple[str, ...] = ("A", "B"), status: int = 0) -> None:
        self.version, self.names, self.status = version, names, status

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.status

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.names)
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index + 10
        return 0

    def cuDeviceGetName(self, text: Any, size: int, device: ctypes.c_int) -> int:  # noqa: N802
        text.value = self.names[device.value - 10].encode()
        return 0


@pytest.fixture(autouse=True)
def forgotten() -> None:
    devices.gpus.cache_clear()


def test_torch_finds_the_same() -> None:
    assert bool(devices.gpus()) == torch.cuda.is_available()
    assert len(devices.gpus()) == torch.cuda.device_count()


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (Driver(), ("A", "B")),
        (Driver(13_000), ("A", "B")),  # older than torch's 13.2, of the same major version
        (Driver(12_090), ()),
        (Driver(names=()), ()),
        (Driver(status=100), ()),  # CUDA_ERROR_NO_DEVICE
        (None, ()),
    ],
)
def test_what_a_driver_knows(driver: Driver | None, found: tuple[str, ...]) -> None:
    assert devices._seen_by_driver(driver, 13) == found


def test_torch_for_the_cpu_uses_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.runpy, "run_path", lambda path: {"cuda": None, "hip": None})
    monkeypatch.setattr(devices, "_driver", Driver)
    assert devices.gpus() == ()


def test_torch_for_rocm_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.runpy, "run_path", lambda path: {"cuda": None, "hip": "7.0"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"MI {index}")
    assert devices.gpus() == ("MI 0",)


def test_without_torch_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(devices.metadata, "distribution", missing)
    assert devices.gpus() == ()


def test_names_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: ("A",))
    assert [devices.device_name(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(devices, "gpus", lambda: ())
    assert [devices.device_name(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(UsageError, match="no usable GPU"):
        devices.device_name("cuda")
    with pytest.raises(UsageError, match="Unknown device 'gpu'"):
        devices.device_name("gpu")
