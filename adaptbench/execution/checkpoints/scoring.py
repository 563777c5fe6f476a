"""Scores one checkpoint on the splits it can be scored on; every result is kept as soon as it is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from adaptbench.contracts.benchmark import Protocol
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.protocols import DEFAULT, named
from adaptbench.data import firewall
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import RunStateError
from adaptbench.evaluation.metrics import mean_class_accuracy, score
from adaptbench.evaluation.scorer import Scorer
from adaptbench.evaluation.sizes import scored_size
from adaptbench.execution.checkpoints.foreign import Foreign, ForeignScorer
from adaptbench.execution.checkpoints.labelled import LabelledSplit
from adaptbench.execution.checkpoints.scored import Checkpoint, Scored
from adaptbench.execution.checkpoints.stream_scorer import StreamScorer
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.execution.launch import freed_memory
from adaptbench.execution.launch.processes import fix_threads
from adaptbench.execution.scoring import environment
from adaptbench.records.checkpoint_scores import Evaluation, file_of, save_evaluation
from adaptbench.records.jobspec import content_hash
from adaptbench.records.record import NetworkInfo
from adaptbench.training.checkpoint import digest

#: Called with a split and its number of images; returns what is called with the number of images done.
Announce = Callable[[LabelledSplit, int], Callable[[int], None]]


_USUAL = Protocol()


@dataclass(frozen=True)
class Scoring:
    """One checkpoint on one split."""

    checkpoint: Scored
    split: LabelledSplit
    device: str
    protocol: str = DEFAULT
    adaptation: Adaptation | None = None

    @property
    def name(self) -> str:
        """Under which the score is kept: that of the checkpoint, and to what it was adapted."""
        return f"{self.checkpoint.name}-{self.adaptation.name}" if self.adaptation else self.checkpoint.name

    @property
    def rules(self) -> Protocol:
        """How the checkpoint is scored; that it was chosen before is no matter of these."""
        return replace(named(self.protocol).rules or Protocol(), checkpoint="last")

    def identity(self) -> dict[str, Any]:
        """Everything that decides the score."""
        checkpoint = self.checkpoint
        return {
            "weights": checkpoint.weights_sha256,
            "method": [checkpoint.author.name, checkpoint.author.version],
            "settings": checkpoint.stated,
            "class_set": checkpoint.class_set,
            "profile": checkpoint.profile.name,
            "split": str(self.split.ref),
            "data": self.split.source.identity(),
            "protocol": asdict(self.rules),
            "limit": self.split.limit,
            "device": self.device,
            "threads": checkpoint.profile.threads,
            **({"adaptation": self.adaptation.stated()} if self.adaptation else {}),
        }

    def file(self, out: Path) -> Path:
        """Where the result is kept."""
        return file_of(out, self.name, str(self.split.ref), content_hash(self.identity()))


def score_all(scorings: Sequence[Scoring], out: Path, announce: Announce) -> None:
    """Scores one checkpoint under one protocol, adapted in one way or not, on several splits whose data exist.

    Keeps the results and, beside them, one matrix per image.
    """
    if not scorings:
        return
    opened = [scoring.split.open() for scoring in scorings]
    closed = [place for dataset, _ in opened for place in dataset.label_places]
    scorer = _scorer(scorings[0], closed)
    for scoring, (dataset, samples) in zip(scorings, opened, strict=True):
        evaluation = _evaluate(scoring, scorer, dataset, samples, out, announce)
        firewall.require_intact()
        save_evaluation(evaluation, scoring.file(out))


def _scorer(scoring: Scoring, closed: Sequence[Path]) -> Scorer | ForeignScorer:
    """What counts the checkpoint's predictions by the rules; its code cannot reach what is ``closed``."""
    checkpoint, rules, adaptation = scoring.checkpoint, scoring.rules, scoring.adaptation
    if isinstance(checkpoint, Foreign):
        return ForeignScorer(checkpoint, rules)
    if isinstance(checkpoint, Checkpoint):
        scorer = scorer_of(checkpoint, scoring.device, closed, rules)
        return scorer if adaptation is None else _adapting(scorer, adaptation)
    raise TypeError(f"{type(checkpoint).__name__} cannot be scored")


def _adapting(scorer: Scorer, adaptation: Adaptation) -> StreamScorer:
    given = {one.name: getattr(scorer, one.name) for one in fields(scorer)}
    return StreamScorer(**given, adaptation=adaptation)


def scorer_of(
    checkpoint: Checkpoint, device: str, closed: Sequence[Path], rules: Protocol = _USUAL
) -> Scorer:
    """The checkpoint's network, ready to predict; its code cannot reach what is ``closed``."""
    fix_threads(checkpoint.profile.threads)
    freed_memory.keep()
    with firewall.closed(closed):
        method = checkpoint.fill()
    label_size = scored_size(rules.label_size, checkpoint.profile)
    scorer = Scorer(
        method, checkpoint.settings, torch.device(device), closed, lambda: False, label_size, rules.ignore
    )
    if digest(scorer.network.state_dict()) != checkpoint.weights_sha256:
        raise RunStateError(
            f"The weights of {checkpoint.name} are not those that its record names. Train it again."
        )
    return scorer


def _evaluate(
    scoring: Scoring,
    scorer: Scorer | ForeignScorer,
    dataset: Dataset,
    samples: Sequence[Sample],
    out: Path,
    announce: Announce,
) -> Evaluation:
    checkpoint, split, started = scoring.checkpoint, scoring.split, time.monotonic()
    progress = announce(split, len(samples))
    confusion = scorer.confusion(dataset, samples, lambda sample, number, prediction: progress(number + 1))
    confusion.save(scoring.file(out).with_suffix(".npz"))
    total, classes = confusion.total(), class_set(checkpoint.class_set)
    return Evaluation(
        evaluation_hash=content_hash(scoring.identity()),
        checkpoint=scoring.name,
        origin=checkpoint.origin,
        method=checkpoint.author.name,
        method_title=checkpoint.author.title,
        method_version=checkpoint.author.version,
        paper=checkpoint.author.paper,
        oracle=checkpoint.oracle,
        smoke=checkpoint.smoke or split.limit is not None,
        profile=checkpoint.profile.name,
        network=NetworkInfo(
            name=checkpoint.network, parameters=scorer.parameters, pretraining=checkpoint.pretraining
        ),
        settings=checkpoint.stated,
        overrides=dict(checkpoint.overrides),
        protocol=asdict(scoring.rules),
        data=split.source.identity(),
        score=score(
            total,
            classes,
            split=str(split.ref),
            provenance=split.source.provenance,
            images=len(samples),
            absent=scoring.rules.absent_classes,
        ),
        class_accuracy=100 * mean_class_accuracy(total[: len(classes)], classes.averaged),
        weights_sha256=checkpoint.weights_sha256,
        device=scoring.device,
        seconds=time.monotonic() - started,
        environment=environment(),
        adaptation=scoring.adaptation.stated() if scoring.adaptation else None,
    )
