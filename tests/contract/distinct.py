"""What tests take steps with: each code path of the methods' trainings and of the studies' variants once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.settings import Settings
from adaptbench.errors import AdaptBenchError
from adaptbench.networks import start_weights
from adaptbench.networks.start_weights import Found, StartWeights
from adaptbench.planning.plan import Plan, make_plan, method_class
from adaptbench.planning.request import Request

from . import found
from .steps import settings_of

T = TypeVar("T")
#: A method and its settings.
Chosen = tuple[type[Method], Settings]


def code_path(method: type[Method], settings: Settings) -> Hashable:
    """What decides which code a step runs and on which shapes.

    Of weights, rates and shares (all numbers with a point) only whether they are zero, and no number of iterations.
    """
    values = settings.model_dump()
    kept = {key: value for key, value in values.items() if not key.endswith("iterations") and key != "warmup"}
    return method, repr({key: bool(v) if isinstance(v, float) else v for key, v in kept.items()})


@cache
def trainings(extra: tuple[Path, ...]) -> dict[str, Stage]:
    """The distinct training stages of all methods, by ``METHOD-STAGE``; a shared one by the method it belongs to."""
    own_first = sorted(
        _trainings(extra), key=lambda named: not named[0].startswith(f"{named[1].method.name}-")
    )
    return _first_of_each(own_first, lambda stage: code_path(stage.method, stage.settings))


@cache
def variants(extra: tuple[Path, ...]) -> dict[str, Chosen]:
    """The distinct methods and settings of all studies in profile mini, by ``STUDY: VARIANT``."""
    return _first_of_each(_variants(extra), lambda chosen: code_path(*chosen))


def planned(study: str, profile: str, extra: Iterable[Path], seeds: tuple[int, ...]) -> Plan:
    """The jobs of a study, as on a machine that has all start weights."""
    request = Request(
        study=study,
        benchmarks=(),
        profile=profile,
        data="generated",
        device="cpu",
        seeds=seeds,
        plugins=[*found.examples(extra), *extra],
        out=Path("nowhere"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start_weights, "find", _stand_in)
        return make_plan(request)


def _stand_in(network: str, declared: StartWeights | None, choice: str) -> Found | None:
    """Found start weights, since those of full size are not on every machine; nothing reads them in a plan."""
    if declared is None or choice == "none":
        return None
    return Found(declared.data, Path(declared.file), "0" * 64)


def _first_of_each(named: Iterable[tuple[str, T]], key: Callable[[T], Hashable]) -> dict[str, T]:
    found: dict[Hashable, tuple[str, T]] = {}
    for name, one in named:
        found.setdefault(key(one), (name, one))
    return dict(found.values())


def _trainings(extra: tuple[Path, ...]) -> Iterator[tuple[str, Stage]]:
    registry = found.registry(extra)
    for name in registry.names("method"):
        try:
            method: type[Method] = plugins.load(registry.find("method", name))
            stages = method.stages(settings_of(method))
        except Exception:  # whatever it is: test_methods.py asks for the stages again and shows it
            continue
        yield from ((f"{name}-{stage.name}", stage) for stage in stages if stage.trains)


def _variants(extra: tuple[Path, ...]) -> Iterator[tuple[str, Chosen]]:
    registry = found.registry(extra)
    for name in registry.names("study"):
        try:
            plan = planned(name, "mini", extra, seeds=(0,))
        except AdaptBenchError:  # test_studies.py plans it again and shows it
            continue
        for job in plan.jobs:
            method = method_class(registry, job.spec.method)
            settings = method.Settings.model_validate(job.spec.settings)
            yield f"{name}: {plan.variants[job.folder]}", (method, settings)
