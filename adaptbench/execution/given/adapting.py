"""A method of test-time adaptation, as the command line names it and scores state it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from torch import nn

from adaptbench.contracts import plugins
from adaptbench.contracts.plugins import Plugin
from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.settings import check_key, parse_value
from adaptbench.contracts.stream_method import StreamMethod, adaptation_settings
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode
from adaptbench.planning.plan import method_class
from adaptbench.test_time.segmenters import Stream

#: Raised when what an adaptation computes changes.
_VERSION = 1


@dataclass(frozen=True)
class Adaptation:
    """A method of test-time adaptation, with settings in sizes of a profile; it can be sent to another process."""

    plugin: Plugin
    values: Mapping[str, Any]

    @classmethod
    def parse(
        cls, registry: plugins.Registry, name: str, texts: Sequence[str], profile: Profile
    ) -> Adaptation:
        """The method ``name`` with settings as ``KEY=VALUE``; lengths that are not given are those of the profile.

        Raises:
            UsageError: there is no such method, it does not adapt, a setting is unknown, or its value is none.
            PluginError: its file cannot be loaded.
        """
        method = method_class(registry, name)
        if not issubclass(method, StreamMethod):
            raise UsageError(
                f"--adapt {name}: this method trains, and does not adapt while it is tested. Take one that "
                "`run_all.py ls methods` lists with the tag test-time."
            )
        schema = method.Adaptation
        values = {key: profile.length(info.default) for key, info in _lengths(schema)}
        for text in texts:
            key, separator, value = text.partition("=")
            if not separator:
                raise UsageError(f"--set {text}: expected KEY=VALUE, a setting of {name}.")
            check_key(schema, key, name)
            values[key] = parse_value(value)
        adaptation_settings(schema, values)
        return cls(registry.find("method", name), values)

    @property
    def name(self) -> str:
        """Of the method."""
        return self.plugin.name

    @property
    def method(self) -> type[StreamMethod]:
        """The method itself."""
        return plugins.load_subclass(self.plugin, StreamMethod)  # type: ignore[type-abstract]

    @property
    def settings(self) -> BaseModel:
        """Validated."""
        return adaptation_settings(self.method.Adaptation, self.values)

    def started(self, network: nn.Module, mode: Mode) -> Stream:
        """A stream that begins with a copy of ``network``, which sees images as ``mode`` says."""
        return Stream(self.method.start(copy.deepcopy(network), self.settings, mode))

    def stated(self) -> dict[str, Any]:
        """Everything that decides what is predicted, as JSON has it."""
        settings = self.settings.model_dump(mode="json")
        return {"method": self.name, "version": _VERSION, "order": "of the split", "settings": settings}


def _lengths(schema: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(key, info) for key, info in schema.model_fields.items() if "length" in info.metadata]
