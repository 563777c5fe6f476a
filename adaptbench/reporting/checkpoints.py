"""Scores of single checkpoints, imported or of runs: a page beside the leaderboards, without ranks.

A checkpoint is one training (n = 1). What others have trained was trained under conditions of their own, so that it is
neither averaged with trainings from here nor ranked among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from adaptbench.contracts.benchmark import Protocol
from adaptbench.records import formatting
from adaptbench.records.checkpoint_scores import Evaluation, scan_evaluations
from adaptbench.records.scan import Unreadable
from adaptbench.reporting.leaderboard import Cells, markdown_table
from adaptbench.storage import atomic

_LEGEND = (
    "Each row is one checkpoint (n = 1): no mean, no rank, no standard deviation. `imported` weights were trained by "
    "others, `run` ones here; what they were trained on decides as much as the method. mIoU in percent."
)
_Column = tuple[str, bool, Callable[[Evaluation], str]]

_COLUMNS: Sequence[_Column] = (
    ("checkpoint", False, lambda e: e.checkpoint),
    ("origin", False, lambda e: origin(e)),
    ("method", False, lambda e: e.method_title),
    ("network", False, lambda e: f"{e.network.name} ({formatting.parameters(e.network.parameters)})"),
    ("mIoU", True, lambda e: f"{e.score.miou:.1f}"),
    ("pixel accuracy", True, lambda e: f"{e.score.accuracy:.1f}"),
    ("images", True, lambda e: str(e.score.images)),
    ("settings", False, lambda e: formatting.assignments(e.overrides) or "default"),
)


def origin(evaluation: Evaluation) -> str:
    """Where the weights come from, with every mark a reader must see."""
    found = evaluation.origin
    text = (
        f"imported: {found.weights} of {found.source}" if found.kind == "imported" else f"run: {found.source}"
    )
    marks = [word for word, holds in (("oracle", evaluation.oracle), ("smoke", evaluation.smoke)) if holds]
    return f"{text} ({', '.join(marks)})" if marks else text


def cells(evaluations: Sequence[Evaluation]) -> Cells:
    """Rows in the order given."""
    return Cells(
        headers=[header for header, _, _ in _COLUMNS],
        rows=[[cell(evaluation) for _, _, cell in _COLUMNS] for evaluation in evaluations],
        best=frozenset(),
        numeric=frozenset(j for j, (_, numeric, _) in enumerate(_COLUMNS) if numeric),
    )


def conditions(evaluation: Evaluation) -> str:
    """What must be equal for two scores to stand in one table, as a heading."""
    data = dict(evaluation.data)
    provenance = data.pop("provenance")
    smoke = ", smoke" if evaluation.smoke else ""
    departs = formatting.protocol_difference(evaluation.protocol, asdict(Protocol()))
    return (
        f"{evaluation.score.split} in {evaluation.score.class_set} ({provenance}, {formatting.assignments(data)}), "
        f"profile {evaluation.profile}{smoke}{f', {departs}' if departs else ''}"
    )


def render_markdown(evaluations: Iterable[Evaluation], unreadable: Sequence[Unreadable] = ()) -> str:
    """The page: one table per split and conditions."""
    blocks = ["# Checkpoints", _LEGEND]
    ordered = sorted(evaluations, key=lambda e: (conditions(e), e.checkpoint, e.evaluation_hash))
    for heading, group in groupby(ordered, key=conditions):
        blocks += [f"## {formatting.markdown(heading)}", markdown_table(cells(list(group)))]
    if unreadable:
        blocks += ["## Left out: files that could not be read"]
        blocks += ["\n".join(f"- {formatting.markdown(problem.reason)}" for problem in unreadable)]
    return "\n\n".join(blocks) + "\n"


def render_csv(evaluations: Iterable[Evaluation]) -> str:
    """One line per evaluation: everything the page shows, and the IoU of every class."""
    import pandas as pd

    lines = [_csv_line(evaluation) for evaluation in evaluations]
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def _csv_line(evaluation: Evaluation) -> dict[str, object]:
    score, found = evaluation.score, evaluation.origin
    return {
        "checkpoint": evaluation.checkpoint,
        "kind": found.kind,
        "weights": found.weights,
        "source": found.source,
        "source_sha256": found.source_sha256,
        "seed": found.seed,
        "method": evaluation.method,
        "oracle": evaluation.oracle,
        "smoke": evaluation.smoke,
        "network": evaluation.network.name,
        "parameters": evaluation.network.parameters,
        "pretraining": evaluation.network.pretraining,
        "profile": evaluation.profile,
        "overrides": formatting.assignments(evaluation.overrides),
        "split": score.split,
        "class_set": score.class_set,
        "provenance": score.provenance,
        "data": formatting.assignments(evaluation.data),
        "images": score.images,
        "miou": score.miou,
        "accuracy": score.accuracy,
        "weights_sha256": evaluation.weights_sha256,
        "evaluation_hash": evaluation.evaluation_hash,
        **{f"iou:{name}": value for name, value in score.iou.items()},
    }


def write_checkpoints(out: Path) -> Path | None:
    """Rewrites ``OUT/leaderboards/checkpoints.md`` and ``.csv``; None if nothing was evaluated.

    Raises:
        RunStateError: the folder cannot be written.
    """
    found = scan_evaluations(out)
    page = out / "leaderboards" / "checkpoints.md"
    if not found.evaluations and not found.unreadable and not page.exists():
        return None
    atomic.write_text(page, render_markdown(found.evaluations, found.unreadable))
    atomic.write_text(page.with_suffix(".csv"), render_csv(found.evaluations))
    return page
