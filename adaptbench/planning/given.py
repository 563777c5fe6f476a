"""A network that is given, as far as a plan looks at it; what runs it lies above."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from pydantic import BaseModel

from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import Resolved
from adaptbench.contracts.stream_method import PREFIX, UNADAPTED, StreamMethod
from adaptbench.contracts.task import Task
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Size
from adaptbench.records.start import KEY, Start


class Given(Protocol):
    """A network from elsewhere that jobs start from (--start)."""

    @property
    def start(self) -> Start:
        """What it is."""

    def require_fitting(
        self, method: type[StreamMethod], settings: BaseModel, task: Task, image: Size
    ) -> None:
        """Raises UsageError where a method cannot adapt it to images of this size, (height, width)."""


def require_stream(benchmark: type[Benchmark], class_set: str, given: Given) -> None:
    """Raises UsageError where nothing can start from the network on a benchmark."""
    if benchmark.stream is None:
        raise UsageError(
            f"--start: {benchmark.name} has no stream, so its methods train a network of their own. Name a benchmark "
            "of test-time adaptation, or score the network with run_all.py evaluate."
        )
    if given.start.class_set != class_set:
        raise UsageError(
            f"--start {given.start.name}: it is scored in {given.start.class_set}, {benchmark.name} in {class_set}. "
            "Name a benchmark of its class set; a network file states that in which it is scored."
        )


def settings_from(resolved: Resolved, method: type[Method], given: Given) -> Resolved:
    """The settings of a job that trains nothing.

    Raises:
        UsageError: a setting of the training was changed.
    """
    idle = sorted(key for key in resolved.overrides if not key.startswith(PREFIX))
    if idle:
        raise UsageError(
            f"--start {given.start.name} with {idle[0]} of {method.name}: nothing is trained, so that {idle[0]} would "
            f"change nothing. Set only what begins with {PREFIX}, or leave --start out."
        )
    changes = {"network": given.start.network, "pretraining": "none", "iterations": 0}
    return replace(
        resolved,
        settings=resolved.settings.model_copy(update=changes),
        origin="transferred",
        overrides={**resolved.overrides, KEY: given.start.name},
    )


def no_start(method: type[Method]) -> str | None:
    """Why a method is left out where a network is given; None if it is not."""
    if issubclass(method, StreamMethod) or method.name == UNADAPTED:
        return None
    return f"It is a training, and --start gives a trained network; {UNADAPTED} shows it without adaptation."
