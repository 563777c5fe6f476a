"""A method of test-time adaptation, as the command line names it and scores state it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import nn

from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.settings import check_key, parse_value
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode
from adaptbench.test_time.segmenters import METHODS, Stream

#: Raised when what an adaptation computes changes.
_VERSION = 1


@dataclass(frozen=True)
class Adaptation:
    """A method of test-time adaptation, with settings in sizes of a profile."""

    name: str
    settings: BaseModel

    @classmethod
    def parse(cls, name: str, texts: Sequence[str], profile: Profile) -> Adaptation:
        """The method ``name`` with settings as ``KEY=VALUE``; lengths that are not given are those of the profile.

        Raises:
            UsageError: a setting is unknown, or its value is none.
        """
        schema = METHODS[name].settings
        values = {key: profile.length(info.default) for key, info in _lengths(schema)}
        for text in texts:
            key, separator, value = text.partition("=")
            if not separator:
                raise UsageError(f"--set {text}: expected KEY=VALUE, a setting of {name}.")
            check_key(schema, key, name)
            values[key] = parse_value(value)
        try:
            return cls(name, schema.model_validate(values))
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise UsageError(f"--set {place}: {problem['msg']} (got {problem['input']!r}).") from error

    def started(self, network: nn.Module, mode: Mode) -> Stream:
        """A stream that begins with a copy of ``network``, which sees images as ``mode`` says."""
        return Stream(self.name, self.settings, copy.deepcopy(network), mode)

    def stated(self) -> dict[str, Any]:
        """Everything that decides what is predicted, as JSON has it."""
        settings = self.settings.model_dump(mode="json")
        return {"method": self.name, "version": _VERSION, "order": "of the split", "settings": settings}


def _lengths(schema: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(key, info) for key, info in schema.model_fields.items() if "length" in info.metadata]
