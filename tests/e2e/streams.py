"""Runs of test-time adaptation on a short stream of generated images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adaptbench.records.confusion_files import PerImageConfusion, matrices_file
from adaptbench.records.record import Record, load_record

from .bench import PLUGINS, Bench

RANKED = "acdc/train"
#: So that every image leaves a trace in the network that meets the next.
GOES_ON = ("slow_tent.adapt_episodic=false", "slow_tent.adapt_learning_rate=0.01")


def streaming(bench: Callable[[str], Bench], name: str, *settings: str) -> Bench:
    return replace(bench(name), plugins=(PLUGINS / "streaming.py",), settings=settings, iterations=2)


def record_of(made: Bench, method: str) -> Record:
    return load_record(made.folder(method) / "record.json")


def matrices_of(made: Bench, method: str) -> PerImageConfusion:
    return PerImageConfusion.load(matrices_file(made.folder(method), RANKED))
