"""Checkpoints that can be scored outside of a job: imported weights, and the networks of finished runs."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from adaptbench.contracts import plugins
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import Profile, profile
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.task import Task
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import RunStateError, UsageError
from adaptbench.execution.given import imported, places
from adaptbench.execution.stages.choice import Selection, weights_name
from adaptbench.execution.stages.planned import selection_of
from adaptbench.execution.stages.weights import filled_method
from adaptbench.planning.plan import method_class
from adaptbench.records.checkpoint_scores import Origin
from adaptbench.records.jobspec import load_job, results_of
from adaptbench.records.record import load_record


class Author(NamedTuple):
    """What a network comes from, as records have it: a method, or the file of somebody."""

    name: str
    version: int
    title: str
    paper: str | None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Weights with everything that a score of them says.

    Attributes:
        pretraining: what the network started from.
        class_set: what it is scored in.
        overrides: settings that differ from the defaults, for tables.
        dials: of the generated world they were trained in, where they are not the default.
    """

    name: str
    origin: Origin
    network: str
    pretraining: str
    class_set: str
    profile: Profile
    overrides: Mapping[str, Any]
    weights_sha256: str
    oracle: bool = False
    smoke: bool = False
    dials: Mapping[str, Any] = field(default_factory=dict)

    @property
    @abstractmethod
    def author(self) -> Author:
        """What has made them."""

    @property
    @abstractmethod
    def stated(self) -> dict[str, Any]:
        """Everything that decides how the network sees an image, as JSON has it."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Scored):
    """Weights of one of our networks.

    Attributes:
        settings: in sizes of the profile.
        scored_on: dataset whose images its benchmark scores first; empty for imports.
        plugins: paths of plug-ins that its training was given.
        fill: the method with its weights.
    """

    method: type[Method]
    settings: Settings
    plugins: tuple[Path, ...]
    fill: Callable[[], Method]
    scored_on: str = ""

    @property
    def author(self) -> Author:
        """The method."""
        return Author(self.method.name, self.method.version, self.method.title, self.method.paper)

    @property
    def stated(self) -> dict[str, Any]:
        """The settings."""
        return self.settings.model_dump(mode="json")


def open_checkpoint(text: str, out: Path, profile_name: str | None, extra: tuple[Path, ...]) -> Checkpoint:
    """The checkpoint called ``text``: the name of an import, or the folder of an import or of a finished run.

    Without a ``profile_name`` it is in that of the training; imports are in paper.

    Raises:
        UsageError: there is no such checkpoint, or it cannot be scored in that profile.
        RunStateError: it is damaged or not finished.
    """
    folder = places.find(text, out)
    if places.is_import(folder):
        return _open_import(folder, profile_name or "paper", extra)
    return _open_run(folder, profile_name, extra)


def _open_import(folder: Path, profile_name: str, extra: tuple[Path, ...]) -> Checkpoint:
    facts, chosen = imported.load_facts(folder), profile(profile_name)
    brought = plugins.named_by_results(facts.plugins, results_of(folder))
    method = method_class(registry_with(brought, extra), facts.method)
    stage = imported.stage_of(method, facts.network, facts.overrides, chosen)

    def fill() -> Method:
        built = imported.build(stage, facts.class_set, chosen)
        built.scored_network().load_state_dict(imported.load_weights(folder, facts), strict=True)
        return built

    return Checkpoint(
        name=facts.name,
        origin=Origin(
            kind="imported",
            weights=facts.weights,
            source=facts.source_file,
            source_sha256=facts.source_sha256,
        ),
        method=stage.method,
        settings=stage.settings,
        network=facts.network,
        pretraining="as published",
        class_set=facts.class_set,
        profile=chosen,
        overrides=facts.overrides,
        weights_sha256=facts.weights_sha256,
        plugins=tuple(brought),
        fill=fill,
    )


def _open_run(folder: Path, profile_name: str | None, extra: tuple[Path, ...]) -> Checkpoint:
    spec = load_job(folder)
    if not (folder / "record.json").is_file():
        raise RunStateError(
            f"The run {folder} is not finished. Call its run_all.py command again to finish it."
        )
    record = load_record(folder / "record.json")
    if profile_name not in (None, spec.profile):
        raise UsageError(
            f"--profile {profile_name}: the run {folder} was trained in profile {spec.profile}, and its network "
            "is scored in that only. Leave the flag out."
        )
    if spec.start is not None:
        raise UsageError(
            f"The run {folder} starts from a network that was trained elsewhere, {spec.start.name}, and has none of "
            "its own. Name that import or network file itself."
        )
    brought = plugins.named_by_results(spec.plugins, results_of(folder))
    method = method_class(registry_with(brought, extra), spec.method)
    chosen, stage = profile(spec.profile), method.stages(method.Settings.model_validate(spec.settings))[-1]
    if stage.adapts:
        raise UsageError(
            f"The network of the run {folder} changed with every image of its stream, so there is no one to score, "
            f"predict with or export. Name a run of {method.name}'s source training, like source_only on the same "
            f"benchmark and seed; evaluate takes --adapt {method.name}."
        )
    task = Task(spec.benchmark, spec.ranking["setting"], class_set(spec.class_set), chosen)
    selection = selection_of(spec, stage)
    weights = folder / "stages" / stage.name / weights_name(selection)
    dials = {
        key.removeprefix("minicity."): v for key, v in spec.overrides.items() if key.startswith("minicity.")
    }
    return Checkpoint(
        name=f"{spec.method}-{folder.name}",
        origin=Origin(
            kind="run", weights=_weights(selection), source=spec.board, seed=spec.seed, job_hash=spec.job_hash
        ),
        method=stage.method,
        settings=stage.settings,
        network=record.network.name,
        pretraining=record.network.pretraining,
        oracle=record.oracle,
        smoke=record.smoke,
        class_set=spec.class_set,
        profile=chosen,
        scored_on=spec.ranking["splits"][0].partition("/")[0],
        dials=dials,
        overrides=spec.overrides,
        weights_sha256=record.weights_sha256,
        plugins=tuple(brought),
        fill=lambda: filled_method(task, stage, _there(weights, folder)),
    )


def _there(weights: Path, run: Path) -> Path:
    """The file of a run's weights; a RunStateError if it was removed."""
    if not weights.exists():
        raise RunStateError(
            f"The run {run} has no weights any more ({weights}): clean and --keep-weights remove them. Call its "
            "run_all.py command again with --force to train it anew."
        )
    return weights


def _weights(selection: Selection | None) -> str:
    if selection is None:
        return "last iterate"
    return "best on target labels" if selection.rule == "oracle-best" else f"chosen by {selection.rule}"


def registry_with(paths: Iterable[str | Path], extra: Iterable[Path]) -> plugins.Registry:
    """The plug-ins that a training was given, and further ones."""
    return plugins.discover({Path(os.path.realpath(path)) for path in (*paths, *extra)})
