"""What tells the rows of one method on a board from each other, in as few words as needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from adaptbench.records import formatting
from adaptbench.records.record import Record


def details(firsts: Mapping[str, Record]) -> dict[str, str]:
    """Per group what tells it from the other groups of its method: what users choose, then as little as needed."""
    found: dict[str, str] = {}
    for method in dict.fromkeys(record.method for record in firsts.values()):
        facets = {key: _facets(record) for key, record in firsts.items() if record.method == method}
        parts: dict[str, list[str]] = {key: [] for key in facets}
        names = dict.fromkeys(name for one in facets.values() for name in one)
        for name in sorted(names, key=lambda name: not _is_chosen(name)):
            differs = len({one.get(name) for one in facets.values()}) > 1
            ambiguous = len(set(map(tuple, parts.values()))) < len(parts)
            if differs and (_is_chosen(name) or ambiguous):
                for key, one in facets.items():
                    parts[key] += [one[name]] if name in one else []
        alike = Counter(map(tuple, parts.values()))
        for key, own in parts.items():
            found[key] = ", ".join([*own, f"group {key[:8]}"] if alike[tuple(own)] > 1 else own)
    return found


def _is_chosen(facet: str) -> bool:
    chosen = ("network", "pretraining", "precision", "compiled", "accumulate")
    return facet in chosen or facet.startswith("override ")


def _facets(record: Record) -> dict[str, str]:
    """What may tell a record from others of its method, the most telling first."""
    network = {"network": record.network.name, "pretraining": formatting.start(record.network.pretraining)}

    def named(kind: str, settings: Mapping[str, Any]) -> dict[str, str]:
        flat = sorted(formatting.flatten(settings).items())
        return {f"{kind} {key}": f"{key}={formatting.value(content)}" for key, content in flat}

    overrides = named("override", record.overrides)
    return {
        **network,
        **{key: text for key, text in overrides.items() if key.removeprefix("override ") not in network},
        "precision": record.precision,
        "compiled": "uncompiled" if record.compilation is None else "compiled",
        "accumulate": "whole steps" if record.accumulate == 1 else f"steps in {record.accumulate} parts",
        "origin": f"{record.settings_origin} settings",
        "iterations": f"{record.iterations} iterations",
        "version": f"version {record.method_version}",
        **named("setting", record.settings),
    }
