"""Weights of others as they are kept: converted, checked, and with everything that says what they are.

``OUT/imported/NAME/`` holds ``weights.safetensors`` and, written last, ``imported.json``: an import without it is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from pydantic import Field
from torch import Tensor

from adaptbench import networks
from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.profiles import Profile
from adaptbench.contracts.settings import resolve
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import RunStateError, UsageError, WeightsError
from adaptbench.execution.given.places import FACTS, folder, is_import
from adaptbench.networks.adapters.split_qkv import split_qkv
from adaptbench.records import documents
from adaptbench.records.documents import Part
from adaptbench.storage.atomic import cannot_write
from adaptbench.training import checkpoint

_WEIGHTS = "weights.safetensors"


class Imported(Part):
    """What imported weights are.

    Attributes:
        method: whose scored network they fill.
        class_set: the classes of its logits, in their order.
        weights: which of the networks in the file.
        overrides: settings that differ from the method's defaults, as full-size numbers.
        weights_sha256: identity of the converted weights, as in records.
        plugins: paths given with --plugins, needed to find the method again.
    """

    schema_version: int = 1
    name: str
    method: str
    network: str
    class_set: str
    weights: Literal["student", "teacher"]
    overrides: dict[str, Any]
    source_file: str
    source_sha256: str
    weights_sha256: str
    parameters: int
    plugins: list[str] = Field(default=[])

    def same(self, other: Imported) -> bool:
        """Whether both are the same weights of the same file, taken for the same network."""
        circumstances = {"schema_version", "source_file", "plugins"}
        return self.model_dump(exclude=circumstances) == other.model_dump(exclude=circumstances)


def stage_of(method: type[Method], network: str, overrides: Mapping[str, Any], profile: Profile) -> Stage:
    """The last stage of a method, which is the one that is published, in sizes of ``profile``.

    The training settings among the method's defaults and ``overrides`` do not matter; those that say how the network
    sees an image do.
    """
    settings = resolve(method.Settings, profile, overrides, {}, network, {}).settings
    last = method.stages(settings)[-1]
    return replace(
        last, settings=last.settings.model_copy(update={"pretraining": "none"})
    )  # all weights follow


def build(stage: Stage, classes: str, profile: Profile) -> Method:
    """The method of a stage, its networks with random weights."""
    setting: Literal["uda", "dg"] = "uda" if stage.method.uses_target_images else "dg"
    return stage.method(Task("imported", setting, class_set(classes), profile), stage.settings)


def start_tensors(stage: Stage, pretraining: str, origin: Path) -> dict[str, Tensor]:
    """The encoder's start weights by the names they have in the network of a stage, around its adapter.

    Raises:
        WeightsError: the network starts from random weights.
        DataError: the start weights are not here.
    """
    settings = stage.settings
    if networks.start_of(settings.network, pretraining) is None:
        raise WeightsError(
            f"{origin} holds an adapter without the encoder that it was trained in, and {settings.network} starts from "
            "random weights. Say --set pretraining=FILE with the encoder's, or import a file with everything."
        )
    encoder = networks.start_encoder(settings.network, pretraining)
    if settings.adapter == "soma":
        split_qkv(encoder)
    return {f"backbone.{name}": tensor for name, tensor in encoder.state_dict().items()}


def keep(out: Path, imported: Imported, state: Mapping[str, Tensor]) -> bool:
    """Writes the weights and what they are; False if they are there already.

    Raises:
        UsageError: other weights have the name.
        RunStateError: the folder cannot be written.
    """
    place = folder(out, imported.name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(place.parent, error) from error
    with FileLock(place.parent / f".{imported.name}.lock"):
        if is_import(place):
            _require_same(load_facts(place), imported, place)
            return False
        checkpoint.save(place / _WEIGHTS, state, {"imported": imported.name})
        documents.write(imported, place / FACTS)
    return True


def load_facts(place: Path) -> Imported:
    """What the weights in the folder ``place`` are."""
    remedy = f"Delete {place} and import the file again."
    return documents.read(Imported, place / FACTS, "the description of an import", remedy)


def load_weights(place: Path, imported: Imported) -> dict[str, Tensor]:
    """The weights in the folder ``place``; a RunStateError if they are not those that were imported."""
    changed = f"{place / _WEIGHTS} has changed since its import. Delete {place} and import it again."
    try:
        state, _ = checkpoint.load(place / _WEIGHTS)
    except RunStateError as error:
        raise RunStateError(changed) from error
    if checkpoint.digest(state) != imported.weights_sha256:
        raise RunStateError(changed)
    return state


def _require_same(kept: Imported, imported: Imported, place: Path) -> None:
    if not kept.same(imported):
        raise UsageError(
            f"The name {imported.name!r} is taken: {place} holds the {kept.weights} of {kept.source_file} (sha256 "
            f"{kept.source_sha256[:8]}) for {kept.method} on {kept.network}. Give another --name, or delete it."
        )
