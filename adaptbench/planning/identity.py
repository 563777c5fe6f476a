"""What tells jobs apart, and what makes their numbers comparable, before it is hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from adaptbench import networks
from adaptbench.contracts import protocols
from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.precision import Precision, in_identity
from adaptbench.contracts.profiles import Profile
from adaptbench.data.taxonomy import class_set
from adaptbench.planning import sources
from adaptbench.planning.request import Request
from adaptbench.records import kept
from adaptbench.records.jobspec import DataSource
from adaptbench.records.start import Start


def ranking_identity(
    request: Request, benchmark: type[Benchmark], data: Mapping[str, DataSource], chosen: Profile
) -> dict[str, Any]:
    """Everything that must be equal for two numbers to be comparable, in words a table can show."""
    classes = protocols.class_set_of(request.protocol, benchmark)
    return {
        "benchmark": benchmark.name,
        "setting": benchmark.setting,
        "class_set": classes,
        "head_width": len(class_set(classes)),
        "profile": chosen.name,
        "splits": benchmark.splits_in_hashes(sources.official_names(data)),
        **benchmark.stream_ranking(chosen),
        **asdict(protocols.rules_of(request.protocol, benchmark, request.checkpoint)),
        **({} if request.protocol == protocols.DEFAULT else {"protocol": request.protocol}),
        "data": {name: source.identity() for name, source in sorted(data.items())},
        "limit": request.limit,
    }


def group_identity(
    method: list[Any],
    benchmark: type[Benchmark],
    ranking: Mapping[str, Any],
    settings: Mapping[str, Any],
    chosen: Profile,
    device: str,
    precision: Precision,
    *,
    compiled: bool,
    accumulate: int,
    start: Start | None = None,
) -> dict[str, Any]:
    """What jobs have in common that differ by the seed alone; ``method`` is its name and version."""
    return {
        "method": method,
        "benchmark": [benchmark.name, benchmark.version],
        "ranking": kept.identity(ranking),
        "settings": settings,
        **network_identity(str(settings["network"]), str(settings["pretraining"]), start),
        "threads": chosen.threads,
        "scale": chosen.scale,
        "device": device,
        **in_identity(precision, compiled=compiled, accumulate=accumulate),
    }


def network_identity(name: str, pretraining: str, start: Start | None) -> dict[str, Any]:
    """What a network is, and what it starts from; of one that is given, what identifies it."""
    if start is not None:
        return {"network": start.identity(), "start_weights": None}
    found = networks.start_of(name, pretraining)
    return {
        "network": networks.spec(name).identity(),
        "start_weights": None if found is None else found.identity(),
    }
