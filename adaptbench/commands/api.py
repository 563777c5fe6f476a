"""AdaptBench from Python: ``adaptbench.run`` and ``adaptbench.load_results``. See docs/python-api.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptbench.errors import RunStateError
from adaptbench.flags import experiment
from adaptbench.records import formatting
from adaptbench.records.found import find_records
from adaptbench.records.record import Record, Score

if TYPE_CHECKING:
    import pandas as pd

_FACTS = (
    "setting",
    "profile",
    "iterations",
    "settings_origin",
    "oracle",
    "smoke",
    "origin",
    "method_version",
    "job_hash",
    "group_hash",
    "ranking_hash",
    "weights_sha256",
)


def run(
    methods: Sequence[str] | None = None,
    benchmarks: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    out: str | Path = "results",
    **flags: Any,
) -> None:
    """Trains, scores and ranks like the command ``adaptbench``; what is finished is not run again.

    Args:
        methods: names; where neither methods nor a study are named, ``yes=True`` trains all.
        benchmarks: names, or YAML files; by default as on the command line.
        seeds: one job each.
        out: results folder.
        flags: every other flag of ``adaptbench run``, with underscores; ``set`` and ``data_path`` are mappings.

    Raises:
        AdaptBenchError: a keyword, name or value makes no sense, or not every job is done in the end.
    """
    from adaptbench.commands.run import execute

    named = {"methods": methods, "benchmarks": benchmarks, "seeds": list(seeds), "out": out, **flags}
    command = experiment.of_keywords({key: value for key, value in named.items() if value is not None})
    if execute(command):
        raise RunStateError(
            f"Not every job is done: adaptbench ls runs --out {command.out} shows their states."
        )


def load_results(out: str | Path = "results") -> pd.DataFrame:
    """The finished jobs of a results folder, one row per job and scored split; see docs/python-api.md.

    Scores are percent. IoU per class stands in columns ``iou:CLASS``; classes that do not occur are missing values.

    Raises:
        RunStateError: there is no finished job.
    """
    import pandas as pd

    rows = [_row(record, score) for record in find_records(Path(out)) for score in record.scores]
    if not rows:
        raise RunStateError(f"There is no finished job in the results folder {out}.")
    return pd.DataFrame(rows)


def _row(record: Record, score: Score) -> dict[str, Any]:
    values = {
        **{key: getattr(record, key) for key in ("method", "benchmark", "seed")},
        "class_set": score.class_set,
        "split": score.split,
        "ranked": score is record.scores[0],
        **score.model_dump(include={"miou", "accuracy", "images", "provenance"}),
        **{key: getattr(record, key) for key in _FACTS},
        "tags": " ".join(record.tags),
        "overrides": formatting.assignments(record.overrides),
        "network": record.network.name,
        **record.network.model_dump(exclude={"name"}),
        **record.cost.model_dump(),
        **{f"iou:{name}": iou for name, iou in score.iou.items()},
    }
    return {key: math.nan if value is None else value for key, value in values.items()}
