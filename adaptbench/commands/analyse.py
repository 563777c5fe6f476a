"""``analyse``: looks into the networks of finished runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

from rich.console import Console

from adaptbench.commands.output import finally_raised, say
from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Sample
from adaptbench.errors import RunStateError, UsageError
from adaptbench.evaluation.boundary import boundary_counts
from adaptbench.evaluation.calibration import calibration_counts
from adaptbench.evaluation.class_centers import Float, class_center_distance
from adaptbench.evaluation.features import feature_moments
from adaptbench.evaluation.scorer import Scorer
from adaptbench.execution.job_context import JobContext, open_job_context
from adaptbench.execution.launch.processes import fix_threads
from adaptbench.execution.scored_splits import ScoredSplit, ranked_split
from adaptbench.execution.stages.planned import PlannedStage, plan_stages
from adaptbench.execution.stages.weights import trained_method
from adaptbench.flags import Analyse
from adaptbench.flags.options import require_positive
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.found import scan_records
from adaptbench.records.jobspec import load_job
from adaptbench.records.record import Record, folder_of
from adaptbench.reporting.analyses import boundaries, calibration, class_centers
from adaptbench.reporting.analyses.analysis import Analysis, Measured
from adaptbench.reporting.analyses.views import VIEWS, Viewed
from adaptbench.reporting.matrices import cluster_names
from adaptbench.storage.atomic import sweep_abandoned


def execute(command: Analyse) -> int:
    """Makes the analysis asked for, with a report per board, and names the files that it writes."""
    require_positive(command, "limit")
    (analysis, look), looker = ANALYSES[command.what], Looker(command, partial(say, Console()))
    boards: dict[str, list[Measured]] = {}
    for record in _chosen(command):
        for measured in look(looker, record):
            boards.setdefault(record.ranking_hash, []).append(measured)
    if not boards:
        raise UsageError(
            "None of the runs has kept what this looks into: its weights, or for views its matrices."
        )
    with finally_raised() as noted:
        sweep_abandoned(command.out / "analyses")
        for group in boards.values():
            with noted():
                _write(looker.tell, analysis, group, command.out / "analyses")
    return 0


def _write(tell: Callable[[str], None], analysis: Analysis[Any], group: Sequence[Any], folder: Path) -> None:
    """Writes what was measured on a board; where that cannot be, it is shown, as it may have taken hours."""
    try:
        for path in analysis.write(group, folder):
            tell(f"Written: {path}")
    except RunStateError:
        for line in analysis.markdown(group).splitlines():
            tell(line)
        raise


@dataclass(frozen=True)
class Opened:
    """Everything that the job of a record names, and the images of its ranked split that are looked at."""

    record: Record
    context: JobContext
    split: ScoredSplit
    samples: Sequence[Sample]

    @property
    def described(self) -> tuple[Record, str, int, Sequence[str]]:
        """What every measurement says: record, split, number of images and classes."""
        return self.record, str(self.split.ref), len(self.samples), self.context.task.class_set.classes


@dataclass(frozen=True)
class Looker:
    """Looks into finished runs.

    Attributes:
        distances: those of trainings that were looked into, by stage and protocol.
    """

    command: Analyse
    tell: Callable[..., None]
    distances: dict[tuple[str, str], Float] = field(default_factory=dict)

    def features(self, record: Record) -> Iterator[class_centers.Measured]:
        """Class Center Distance of every training of a job; jobs share trainings."""
        opened = self._open(record)
        for entry in plan_stages(opened.context):
            name = f"{record.method}, seed {record.seed}, {entry.stage.name}"
            if not entry.stage.trains or not self._has_weights(entry, name):
                continue
            key = (entry.result_hash, record.ranking_hash)
            if key not in self.distances:
                scorer = self._scorer(opened, entry, name)
                moments = feature_moments(scorer, opened.split.dataset, opened.samples)
                self.distances[key] = class_center_distance(moments)
            yield class_centers.Measured(*opened.described, entry.stage.name, self.distances[key])

    def boundary(self, record: Record) -> Iterator[boundaries.Measured]:
        """Scores near boundaries of the scored network."""
        for opened, scorer in self._scored(record):
            maps = (scorer.predict_labels(opened.split.dataset, sample) for sample in opened.samples)
            classes = len(opened.context.task.class_set)
            counts = reduce(add, (boundary_counts(*pair, classes) for pair in maps))
            yield boundaries.Measured(*opened.described, counts)

    def calibration(self, record: Record) -> Iterator[calibration.Measured]:
        """Whether the scored network is as often right as it is sure."""
        for opened, scorer in self._scored(record):
            predicted = (
                scorer.predict_probabilities(opened.split.dataset, sample) for sample in opened.samples
            )
            counts = reduce(add, (calibration_counts(probability, truth) for truth, probability in predicted))
            yield calibration.Measured(*opened.described, counts)

    def views(self, record: Record) -> Iterator[Viewed]:
        """Other scores from the confusion matrices of every split, without new predictions."""
        out = self.command.out.resolve()
        for score in record.scores:
            path = matrices_path(out, record, score.split)
            if not path.is_file():
                lost = f"{record.method}, seed {record.seed}: {score.split} is left out, {path} is gone."
                self.tell(lost, "yellow")
                continue
            kept = PerImageConfusion.load(path)
            if not kept.tags:  # of an older version
                clusters = cluster_names(out, record, score.split, kept.names)
                kept = replace(kept, tags=tuple({"place": cluster} for cluster in clusters))
            kept = kept.first(self.command.limit)
            yield Viewed(record, score.split, len(kept.names), tuple(score.iou), score.class_set, kept)

    def _open(self, record: Record) -> Opened:
        """Everything that a job names, with the number of threads that it had."""
        out = self.command.out.resolve()
        folder = folder_of(record, out)
        spec = load_job(folder)
        brought = map(str, plugins.named_by_results(spec.plugins, out))
        spec = spec.model_copy(update={"plugins": list(brought)})
        fix_threads(spec.threads)
        context = open_job_context(spec, folder)
        split = ranked_split(context)
        return Opened(record, context, split, split.samples[: self.command.limit])

    def _scored(self, record: Record) -> Iterator[tuple[Opened, Scorer]]:
        """The scored network of a run; nothing, and a word to the user, where it has none, or its weights are gone."""
        opened = self._open(record)
        entry, name = plan_stages(opened.context)[-1], f"{record.method}, seed {record.seed}"
        if entry.stage.adapts:
            self.tell(f"{name}: left out, its network changed with every image of its stream.", "yellow")
        elif entry.stage.given:
            self.tell(f"{name}: left out, its network was trained elsewhere.", "yellow")
        elif self._has_weights(entry, name):
            yield opened, self._scorer(opened, entry, name)

    def _has_weights(self, entry: PlannedStage, name: str) -> bool:
        there = entry.weights.is_file()
        if not there:
            self.tell(f"{name}: left out, its weights {entry.weights} are gone.", "yellow")
        return there

    def _scorer(self, opened: Opened, entry: PlannedStage, name: str) -> Scorer:
        """What scores the network that a training has ended with."""
        self.tell(f"{name}: {len(opened.samples)} images of {opened.split.ref}")
        context, method = opened.context, trained_method(opened.context, entry)
        return Scorer(method, entry.stage.settings, context.device, context.closed_folders, lambda: False)


#: What is looked into -> how it is reported, and who looks.
ANALYSES: dict[str, tuple[Analysis[Any], Callable[[Looker, Record], Iterator[Measured]]]] = {
    "ccd": (class_centers.CCD, Looker.features),
    "boundary": (boundaries.BOUNDARY, Looker.boundary),
    "calibration": (calibration.CALIBRATION, Looker.calibration),
    "views": (VIEWS, Looker.views),
}


def _chosen(command: Analyse) -> list[Record]:
    """The records asked for."""
    records = scan_records(command.out).records
    wanted = [
        record
        for record in records
        if (not command.methods or record.method in command.methods)
        and (not command.benchmarks or record.benchmark in command.benchmarks)
        and (not command.seeds or record.seed in command.seeds)
    ]
    if not wanted:
        there = sorted({f"{r.method} on {r.benchmark}, seed {r.seed}" for r in records})
        raise UsageError(
            f"{command.out} has no such finished run. There are: {'; '.join(there[:20]) or 'none'}."
        )
    return wanted
