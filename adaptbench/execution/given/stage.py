"""The stage that stands in the place of a training where a network is given, and the method that it fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.task import Task
from adaptbench.errors import RunStateError
from adaptbench.execution.given import imported, places
from adaptbench.execution.given.file_method import FileNetwork
from adaptbench.execution.given.loaded_network import NetworkPlace, load
from adaptbench.planning.plan import method_class
from adaptbench.records.start import Start
from adaptbench.training import checkpoint


def given_stage(start: Start, out: Path, chosen: Profile, extra: Sequence[str]) -> Stage:
    """The stage of a given network, in sizes of a profile; ``extra`` are paths of plug-ins.

    Raises:
        RunStateError: the import is not there any more, or another one has its name.
    """
    if start.place is not None:
        settings = FileNetwork.Settings.model_validate(
            {"network": start.network, "pretraining": "none", "place": start.place}
        )
        return Stage("source", FileNetwork, settings, given=True)
    facts = _facts(start, out)
    brought = plugins.named_by_results(facts.plugins, out)
    registry = plugins.discover({*map(Path, brought), *map(Path, extra)})
    method = method_class(registry, start.method)
    stage = imported.stage_of(method, start.network, start.overrides, chosen)
    return replace(stage, name="source", start=None, labels=None, given=True)


def filled(start: Start, stage: Stage, task: Task, out: Path) -> Method:
    """The method of the stage with the weights that are given.

    Raises:
        RunStateError: they are not those of the plan.
        AdaptBenchError: the network file does not keep its contract.
    """
    if start.place is None:
        facts = _facts(start, out)
        method = stage.method(task, stage.settings)
        method.scored_network().load_state_dict(imported.load_weights(places.folder(out, start.name), facts))
    else:
        loaded = load(NetworkPlace.of(start.place), torch.device("cpu"))
        method = stage.method(task, stage.settings)
        method.scored_network().load_state_dict(loaded.network.state_dict())
    if checkpoint.digest(method.scored_network().state_dict()) != start.weights_sha256:
        raise RunStateError(
            f"The weights of {start.name} have changed since this job was planned. Call its run_all.py command again."
        )
    return method


def _facts(start: Start, out: Path) -> imported.Imported:
    place = places.folder(out, start.name)
    if not places.is_import(place):
        raise RunStateError(
            f"{place}, from which this job starts, is gone. Import the file again under this name."
        )
    facts = imported.load_facts(place)
    if facts.weights_sha256 != start.weights_sha256:
        raise RunStateError(f"{place} holds other weights than this job was planned with. Plan it again.")
    return facts
