"""Scores of single checkpoints, imported or of runs: a page beside the leaderboards, without ranks.

A checkpoint is one training (n = 1). What others have trained was trained under conditions of their own, so that it is
neither averaged with trainings from here nor ranked among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import methodcaller
from pathlib import Path

from adaptbench.contracts.benchmark import Protocol
from adaptbench.records import formatting
from adaptbench.records.checkpoint_scores import Evaluation, scan_evaluations
from adaptbench.records.documents import Unreadable
from adaptbench.reporting.columns import NETWORK_PARTS, Column, column, fields, machine, number
from adaptbench.reporting.table import Table, write_with_csv

_LEGEND = (
    "Each row is one checkpoint (n = 1): no mean, no rank, no standard deviation. `imported` weights were trained by "
    "others for a network of ours, those of a `file` for a network of theirs, `run` ones here; what they were trained "
    "on decides as much as the method. In percent: mIoU; class accuracy, the mean over classes of the share of their "
    "pixels that is right; and pixel accuracy, that share of all labelled pixels."
)
#: As many digits as papers print of a single network.
_PERCENT = "{:.2f}".format
_MIOU = number("mIoU", "score.miou", _PERCENT, "miou")
_CLASS_ACCURACY = number("class accuracy", "class_accuracy", _PERCENT, "class_accuracy")
_ACCURACY = number("pixel accuracy", "score.accuracy", _PERCENT, "accuracy")
_SCORES = (_MIOU, _CLASS_ACCURACY, _ACCURACY)
_IMAGES = number("images", "score.images", key="images")
_CHECKPOINT = column("checkpoint", "checkpoint", key="checkpoint")
_NETWORK = column(
    "network",
    "network",
    lambda network: f"{network.name} ({formatting.parameters(network.parameters)})",
    parts=NETWORK_PARTS,
)
_SETTINGS = column(
    "settings", lambda e: formatting.assignments(e.overrides), lambda text: text or "default", "overrides"
)


def adapted(evaluation: Evaluation) -> str:
    """How the network adapted to the images, and in which order it saw them; empty if not at all."""
    found = evaluation.adaptation
    if found is None:
        return ""
    return f"{found['method']} ({formatting.assignments(found['settings'])}), images in the order {found['order']}"


_ADAPTATION = column("test-time adaptation", adapted, lambda text: text or "none", "adaptation")


def _adaptation(evaluations: Sequence[Evaluation]) -> list[Column[Evaluation]]:
    """A column of its own where a network adapted."""
    return [_ADAPTATION] if any(evaluation.adaptation for evaluation in evaluations) else []


def origin(evaluation: Evaluation) -> str:
    """Where the weights come from, with every mark a reader must see."""
    found = evaluation.origin
    text = f"{found.kind}: {f'{found.weights} of ' if found.kind == 'imported' else ''}{found.source}"
    marks = ["oracle"] * evaluation.oracle + ["smoke"] * evaluation.smoke
    return f"{text} ({', '.join(marks)})" if marks else text


def table(evaluations: Sequence[Evaluation]) -> Table[Evaluation]:
    """Lines in the order given."""
    described = [column("origin", origin), column("method", "method_title")]
    scored = [*_SCORES, _IMAGES, _SETTINGS, *_adaptation(evaluations)]
    return Table([_CHECKPOINT, *described, _NETWORK, *scored], evaluations)


def written(evaluation: Evaluation) -> list[str]:
    """The scores, as the table writes them."""
    return [column.written(evaluation) for column in _SCORES]


def departures(evaluation: Evaluation) -> str:
    """In what the rules of a score differ from the usual ones; empty if in nothing."""
    return formatting.protocol_difference(evaluation.protocol, asdict(Protocol()))


def conditions(evaluation: Evaluation) -> str:
    """What must be equal for two scores to stand in one table, as a heading."""
    data = dict(evaluation.data)
    provenance = data.pop("provenance")
    smoke = ", smoke" if evaluation.smoke else ""
    departs = departures(evaluation)
    return (
        f"{evaluation.score.split} in {evaluation.score.class_set} ({provenance}, {formatting.assignments(data)}), "
        f"profile {evaluation.profile}{smoke}{f', {departs}' if departs else ''}"
    )


def render_markdown(evaluations: Iterable[Evaluation], unreadable: Sequence[Unreadable] = ()) -> str:
    """The page: one table per split and conditions."""
    blocks = ["# Checkpoints", _LEGEND]
    ordered = sorted(evaluations, key=lambda e: (conditions(e), e.checkpoint, e.evaluation_hash))
    for heading, group in groupby(ordered, key=conditions):
        blocks += [f"## {formatting.markdown(heading)}", table(list(group)).to_markdown()]
    if unreadable:
        blocks += ["## Left out: files that could not be read"]
        blocks += [formatting.bullets(problem.reason for problem in unreadable)]
    return "\n\n".join(blocks) + "\n"


def render_csv(evaluations: Sequence[Evaluation]) -> str:
    """One line per evaluation: everything the page shows, and the IoU of every class."""
    classes = dict.fromkeys(name for evaluation in evaluations for name in evaluation.score.iou)
    columns = [
        *(_CHECKPOINT, *fields("origin", "kind", "weights", "source", "source_sha256", "seed")),
        *(machine(key, key) for key in ("method", "oracle", "smoke")),
        *(_NETWORK, *fields("network", "pretraining"), machine("profile", "profile"), _SETTINGS),
        *fields("score", "split", "class_set", "provenance"),
        machine("data", lambda e: formatting.assignments(e.data)),
        *(_IMAGES, *_SCORES),
        machine("protocol", departures),
        *_adaptation(evaluations),
        *(machine(key, key) for key in ("weights_sha256", "evaluation_hash")),
        column("", "score.iou", parts={f"iou:{name}": methodcaller("get", name) for name in classes}),
    ]
    return Table(columns, evaluations).to_csv()


def write_checkpoints(out: Path) -> Path | None:
    """Rewrites ``OUT/leaderboards/checkpoints.md`` and ``.csv``; None if nothing was evaluated."""
    found, unreadable = scan_evaluations(out)
    page = out / "leaderboards" / "checkpoints.md"
    if not found and not unreadable and not page.exists():
        return None
    write_with_csv(page, render_markdown(found, unreadable), render_csv(found))
    return page
