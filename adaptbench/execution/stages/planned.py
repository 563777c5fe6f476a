"""The stages of a job, each with the identity of its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaptbench.contracts.benchmark import CheckpointRule
from adaptbench.contracts.method import Stage
from adaptbench.contracts.precision import in_identity
from adaptbench.contracts.settings import Settings
from adaptbench.data import firewall, pseudo_labels
from adaptbench.execution.given.stage import given_stage
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.stages.choice import Selection, seen_digest, selection_by, weights_name
from adaptbench.execution.stages.data import labelled_refs
from adaptbench.planning.identity import network_identity
from adaptbench.records.jobspec import JobSpec, content_hash
from adaptbench.records.start import Start
from adaptbench.storage import sealed_json
from adaptbench.storage.plain_files import file_digest

#: What a finished stage has cost; written last.
RESULT = "result.json"
#: What ``result.json`` calls the sha256 of a stage's log; None where nothing was logged, not there in older versions.
METRICS = "metrics"


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a job, with its identity.

    Attributes:
        hash: identity of its weights.
        start: the earlier stage whose network it starts from.
        labels: the earlier stage whose pseudo-labels it trains on.
        selection: how its network is chosen among snapshots; None = the last iterate.
    """

    stage: Stage
    hash: str
    folder: Path
    start: PlannedStage | None
    labels: PlannedStage | None = None
    selection: Selection | None = None

    @property
    def result_hash(self) -> str:
        """Identity of the network that later stages start from."""
        return self.hash if self.selection is None else f"{self.hash}-{self.selection.key}"

    @property
    def last_weights(self) -> Path:
        """The weights of the last iterate."""
        return self.folder / "weights.safetensors"

    @property
    def weights(self) -> Path:
        """The weights that are scored and that later stages start from."""
        return self.folder / weights_name(self.selection)

    @property
    def snapshots(self) -> Path:
        """Where a training that keeps snapshots works; those that a rule chose stay there."""
        return self.folder / "snapshots"

    @property
    def oracle(self) -> bool:
        """Whether target labels were used, here or in a stage whose network or labels it takes."""
        method = self.stage.method
        chosen = self.selection is not None and self.selection.rule == "oracle-best"
        here = method.supervision == "target" or "oracle" in method.tags or chosen
        return here or any(stage is not None and stage.oracle for stage in (self.start, self.labels))

    @property
    def trained(self) -> bool:
        """Whether the training, or the labelling, is finished and its result is there."""
        made = [self.folder / pseudo_labels.TABLE] if self.stage.labeller or self.stage.adapts else []
        made += [] if self.stage.labeller else [self.last_weights]
        return all(file.exists() for file in made) and self.was_trained

    @property
    def was_trained(self) -> bool:
        """Whether it was finished once; its result may have been removed since."""
        return (self.folder / RESULT).exists()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: trained, and its network chosen."""
        return self.trained and (self.selection is None or self.weights.exists())

    def cost(self) -> dict[str, Any]:
        """``seconds`` of training over all resumptions, ``peak_memory_mib`` and ``joules``, once it is done.

        Joules are missing or None where nobody counted them. With --compile ``compilation``, too, of a training.
        """
        return sealed_json.read(self.folder / RESULT, self._way_out)

    def metrics(self) -> Path:
        """The log of its training, which need not be there: records say of pseudo-labels what was logged.

        Raises:
            RunStateError: it is not what was logged.
        """
        path, written = self.folder / "metrics.jsonl", self.cost().get(METRICS)
        if written is not None and written != file_digest(path):
            raise sealed_json.changed(path, self._way_out)
        return path

    @property
    def _way_out(self) -> str:
        return f"Delete the folder {self.folder} to train the stage again."


def plan_stages(context: JobContext) -> list[PlannedStage]:
    """The job's stages in order, with their hashes."""
    settings = context.method.Settings.model_validate(context.spec.settings)
    planned: list[PlannedStage] = []
    with firewall.closed(context.closed_folders):
        stages = _stages(context, settings)
    for stage in stages:
        start = None if stage.start is None else planned[stage.start]
        labels = None if stage.labels is None else planned[stage.labels]
        selection = selection_of(context.spec, stage)
        entry = PlannedStage(stage, "", context.out / "stages", start, labels, selection)
        stage_hash = content_hash(identity(context, entry))
        planned.append(replace(entry, hash=stage_hash, folder=entry.folder / stage_hash))
    return planned


def _stages(context: JobContext, settings: Settings) -> list[Stage]:
    """Those of the method; where a network is given, it takes the place of the first one."""
    stages, start = context.method.stages(settings), context.spec.start
    if start is None:
        return stages
    return [given_stage(start, context.out, context.task.profile, context.spec.plugins), *stages[1:]]


def asked_for(planned: Sequence[PlannedStage]) -> set[str]:
    """Hashes of the stages whose results are used: the last one, and what those begin with that are not done."""
    asked = {planned[-1].hash}
    for entry in reversed(planned):
        if entry.hash in asked and not entry.done:
            asked |= {earlier.hash for earlier in (entry.start, entry.labels) if earlier is not None}
    return asked


def selection_of(spec: JobSpec, stage: Stage) -> Selection | None:
    """How the network of a stage is chosen.

    None where the last iterate counts, or there is none to choose: nothing is trained, labels are made, or no teacher
    is there to agree with.
    """
    rule: CheckpointRule = spec.ranking["checkpoint"]
    if rule == "last" or not stage.trains or stage.settings.iterations == 0:
        return None
    if rule == "agreement" and not stage.method.has_teacher():
        return None
    return selection_by(rule, spec)


def label_free_file(entry: PlannedStage, context: JobContext) -> Path:
    """Where the process that trained says how good the snapshots look on this job's target, without labels."""
    seen = seen_digest(context.spec, {"data": context.spec.ranking["data"]})
    return entry.snapshots / f"label-free-{seen}.json"


def identity(context: JobContext, entry: PlannedStage) -> dict[str, Any]:
    """Everything that decides the result of a stage; the name of the method that asks is not part of it."""
    stage, start = entry.stage, entry.start
    if stage.given and context.spec.start is not None:
        return _given(context.spec, context.spec.start, stage)
    target = context.benchmark.target if stage.method.uses_target_images else ()
    labelled = labelled_refs(context, stage) if entry.labels is None else context.benchmark.target
    labelled = () if stage.adapts else labelled
    spec = context.spec
    return {
        "training": [stage.method.name, stage.method.version],
        "settings": stage.settings.model_dump(mode="json"),
        "start": None if start is None else start.result_hash,
        **network_identity(stage.settings.network, stage.settings.pretraining, spec.start),
        "class_set": context.task.class_set.head,
        "setting": context.benchmark.setting,
        "labelled": {str(r): spec.data[r.dataset].identity() for r in labelled},
        "target": {str(r): spec.data[r.dataset].identity() for r in target},
        "scale": context.task.profile.scale,
        "seed": spec.seed,
        "limit": spec.limit,
        "threads": spec.threads,
        "device": spec.device,
        **(_computed(spec) if stage.trains else {}),
        **({} if entry.labels is None else {"pseudo_labels": entry.labels.hash}),
        **({} if stage.labeller is None else stage.labeller.identity()),
        **(_stream(context) if stage.adapts else {}),
    }


def _given(spec: JobSpec, start: Start, stage: Stage) -> dict[str, Any]:
    """A network from elsewhere is the same for every seed."""
    return {
        "given": start.identity(),
        "method": [stage.method.name, stage.method.version],
        "settings": stage.settings.model_dump(mode="json"),
        "profile": spec.profile,
    }


def _stream(context: JobContext) -> dict[str, Any]:
    """Which images a stage adapts to, in which order, and the size at which it predicts them."""
    ref, ranking = context.benchmark.evaluation[0], context.spec.ranking
    images = {str(ref): context.spec.data[ref.dataset].identity()}
    return {"stream": {**ranking["stream"], "images": images, "label_size": ranking["label_size"]}}


def _computed(spec: JobSpec) -> dict[str, Any]:
    return in_identity(spec.precision, compiled=spec.compiled, accumulate=spec.accumulate)
