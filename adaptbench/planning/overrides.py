"""What a user sets on the command line: for all methods, for one, or for the generated world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adaptbench.contracts.method import Method
from adaptbench.contracts.settings import check_key, parse_value
from adaptbench.errors import UsageError, unknown_name
from adaptbench.planning import sources


@dataclass(frozen=True)
class Overrides:
    """Parsed ``--set`` options."""

    common: Mapping[str, Any]
    by_method: Mapping[str, Mapping[str, Any]]
    world: Mapping[str, Any]

    @classmethod
    def parse(cls, texts: Iterable[str], methods: Sequence[type[Method]]) -> Overrides:
        """Reads ``KEY=VALUE``, ``METHOD.KEY=VALUE`` and ``minicity.DIAL=VALUE``; checks keys and dials."""
        common: dict[str, Any] = {}
        by_method: dict[str, dict[str, Any]] = {m.name: {} for m in methods}
        world: dict[str, Any] = {}
        for text in texts:
            key, separator, value = text.partition("=")
            if not separator or not key:
                raise UsageError(
                    f"--set {text!r}: expected KEY=VALUE, METHOD.KEY=VALUE or minicity.DIAL=VALUE, without spaces."
                )
            owner, dot, inner = key.partition(".")
            if dot and owner == "minicity":
                world[inner] = sources.check_dial(inner, parse_value(value))
            elif dot and owner in by_method:
                check_key(next(m.Settings for m in methods if m.name == owner), inner, owner)
                by_method[owner][inner] = parse_value(value)
            elif dot:
                raise unknown_name("method in --set", owner, [*by_method, "minicity"])
            else:
                _check_common(key, methods)
                common[key] = parse_value(value)
        return cls(common, by_method, world)

    def on(self, network: str | None) -> Overrides:
        """The same with a network for every method; None = as it is. A UsageError if one is set already."""
        if network is None:
            return self
        if any("network" in values for values in (self.common, *self.by_method.values())):
            raise UsageError(f"--networks {network}: --set names a network, too. Leave one of the two out.")
        return replace(self, common={**self.common, "network": network})

    def of(self, method: type[Method]) -> dict[str, Any]:
        """What holds for ``method``; its own values go before common ones."""
        return {**self.common, **self.by_method[method.name]}


def _check_common(key: str, methods: Sequence[type[Method]]) -> None:
    having = [m.name for m in methods if key in m.Settings.model_fields]
    lacking = [m.name for m in methods if key not in m.Settings.model_fields]
    if not having:
        raise unknown_name("setting", key, {k for m in methods for k in m.Settings.model_fields})
    if lacking:
        raise UsageError(
            f"--set {key}: not a setting of {', '.join(lacking)}. Write {having[0]}.{key}=VALUE to set it for one "
            "method, or select only methods that have it."
        )
