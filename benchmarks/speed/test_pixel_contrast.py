"""Pixel-level contrast of EHTDI at its published size: time and peak memory, in blocks and as a whole.

Run with ``pytest benchmarks/speed/test_pixel_contrast.py --benchmark-only``; the memory is ``peak_mib`` of
``--benchmark-json FILE``, and each is measured in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pixel_contrast import gradients

from adaptbench.contracts.profiles import profile

SCRIPT = Path(__file__).with_name("pixel_contrast.py")
GROUP = pytest.mark.benchmark(
    group="pixel-level contrast, one image: 65x65 logits, 19 classes, with gradient",
    timer=time.process_time,  # there is one thread; other programs on the machine do not count
)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads as a training in profile mini has."""
    before = torch.get_num_threads()
    torch.set_num_threads(profile("mini").threads)
    yield
    torch.set_num_threads(before)


def peak_mib(kind: str) -> int:
    """Peak memory in a fresh process."""
    answer = subprocess.run([sys.executable, str(SCRIPT), kind], capture_output=True, text=True, check=True)
    return int(answer.stdout)


@GROUP
@pytest.mark.parametrize("kind", ["blocks", "whole"])
def test_time(benchmark: Any, kind: str) -> None:
    benchmark.extra_info["peak_mib"] = peak_mib(kind)
    benchmark.pedantic(gradients, args=(kind,), rounds=3, warmup_rounds=1)


def test_numbers_are_equal() -> None:
    for one, other in zip(gradients("blocks", 33), gradients("whole", 33), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)


def test_blocks_need_a_fraction_of_the_memory() -> None:
    assert peak_mib("blocks") < peak_mib("whole") / 4
