"""What --start names: an import, or a network of anybody, looked at before a plan is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel

from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.contracts.task import Task
from adaptbench.errors import unknown_name
from adaptbench.execution.given import imported, places, sealed_network
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.execution.given.loaded_network import NetworkPlace, file_sha256
from adaptbench.execution.given.stage import given_stage
from adaptbench.networks.inference import Size
from adaptbench.records.start import FilePlace, Start


def import_given(name: str, out: Path, chosen: Profile, extra: Sequence[str]) -> GivenImport:
    """The import ``name``; ``extra`` are paths of plug-ins.

    Raises:
        UsageError: there is none in the results folder.
        RunStateError: it is damaged.
    """
    if not places.is_import(places.folder(out, name)):
        raise unknown_name("import (--start)", name, places.names(out))
    facts = imported.load_facts(places.folder(out, name))
    start = Start(
        name=name,
        network=facts.network,
        class_set=facts.class_set,
        weights_sha256=facts.weights_sha256,
        method=facts.method,
        overrides=facts.overrides,
    )
    stage = given_stage(start, out, chosen, extra)
    averages = stage.method.test_time_augmentation(stage.settings)
    return GivenImport(start.model_copy(update={"test_time_augmentation": averages}), out, chosen, extra)


def file_given(
    place: NetworkPlace, chosen: Profile, closed: Sequence[Path], registry: plugins.Registry
) -> GivenFile:
    """The network of ``place``, which was loaded and tried in a process that cannot open what is ``closed``.

    Raises:
        AdaptBenchError: it does not keep the contract; see `adaptbench.execution.given.loaded_network.load`.
    """
    with sealed_network.opened(place, "cpu", chosen.threads, closed) as sealed:
        facts = sealed.facts
    size, digest = facts["stated"]["input_size"], file_sha256(place.weights)
    stated = FilePlace(
        file=str(place.file),
        function=place.function,
        weights=str(place.weights),
        file_sha256=file_sha256(place.file),
        input_size=None if size is None else (size[0], size[1]),
    )
    start = Start(
        name=f"{place.name}-{digest[:8]}",
        network=facts["network"],
        class_set=facts["stated"]["class_set"],
        weights_sha256=facts["weights_sha256"],
        place=stated,
    )
    return GivenFile(start, place, chosen, closed, registry)


@dataclass(frozen=True)
class GivenImport:
    """An import of a results folder."""

    start: Start
    out: Path
    profile: Profile
    extra: Sequence[str]

    def require_fitting(
        self, method: type[StreamMethod], settings: BaseModel, task: Task, image: Size
    ) -> None:
        """Raises UsageError where a method cannot adapt it; it is built without memory for its weights."""
        stage = given_stage(self.start, self.out, self.profile, self.extra)
        with torch.device("meta"):
            network = stage.method(task, stage.settings).scored_network().eval()
        method.require_fitting(network, settings, image)


@dataclass(frozen=True)
class GivenFile:
    """A network of anybody, whose code sees no label of what is ``closed``."""

    start: Start
    place: NetworkPlace
    profile: Profile
    closed: Sequence[Path]
    registry: plugins.Registry

    def require_fitting(
        self, method: type[StreamMethod], settings: BaseModel, task: Task, image: Size
    ) -> None:
        """Raises UsageError where a method cannot adapt it, as its own process says."""
        plugin = self.registry.find("method", method.name)
        adaptation = Adaptation(plugin, settings.model_dump(mode="json"))
        with sealed_network.opened(
            self.place, "cpu", self.profile.threads, self.closed, adaptation
        ) as sealed:
            sealed.require_fitting(image)
