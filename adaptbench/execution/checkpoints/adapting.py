"""Checkpoints that adapt to the images they are scored on, in the order of the split."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.settings import check_key, parse_value
from adaptbench.data import firewall
from adaptbench.errors import UsageError
from adaptbench.evaluation.scorer import Scorer, Tell
from adaptbench.networks.inference import Size
from adaptbench.records.confusion_files import PerImageConfusion
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

    def stated(self) -> dict[str, Any]:
        """Everything that decides what is predicted, as JSON has it."""
        settings = self.settings.model_dump(mode="json")
        return {"method": self.name, "version": _VERSION, "order": "of the split", "settings": settings}


def _lengths(schema: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(key, info) for key, info in schema.model_fields.items() if "length" in info.metadata]


@dataclass(frozen=True, kw_only=True)
class StreamScorer(Scorer):
    """Counts predictions of a network that adapts; every split is a stream of its own.

    The network sees images alone, each before its prediction is compared with anything.
    """

    adaptation: Adaptation
    _stream: list[Stream] = field(default_factory=list, init=False)

    def confusion(self, dataset: Dataset, samples: Sequence[Sample], tell: Tell) -> PerImageConfusion:
        """As for any network; begins with the network as it was trained."""
        with firewall.closed(self.label_folders):
            network, mode = copy.deepcopy(self.network), self.method.inference()
            self._stream[:] = [Stream(self.adaptation.name, self.adaptation.settings, network, mode)]
        return super().confusion(dataset, samples, tell)

    def _segmented(self, network: nn.Module, pixels: Tensor, size: Size) -> Tensor:
        return self._stream[0].segment(pixels, size)
