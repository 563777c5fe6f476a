"""What the weights of a results folder take, by calculation: methods, seeds and benchmarks in a profile.

``python benchmarks/speed/results_size.py`` plans the jobs, builds every network without memory, counts every stage
once, as jobs share them, and prints what each ``--keep-weights`` leaves. Nothing is trained; data is not needed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Hashable, Sequence
from pathlib import Path
from unittest import mock

import torch
from mmengine.model import BaseModule

from adaptbench.contracts.method import Stage
from adaptbench.contracts.task import Task
from adaptbench.execution.job_context import described
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.planning.plan import Job, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import State

BENCHMARKS = (
    "gta5_to_cityscapes",
    "synthia_to_cityscapes",
    "cityscapes_to_acdc",
    "gta5_to_bdd100k",
    "gta5_dg",
)


def main() -> None:
    """Prints a line per method, and the sums. Stages are never shared by seeds, so that one seed is planned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--benchmarks", nargs="+", default=BENCHMARKS)
    chosen = parser.parse_args()
    every: dict[str, int] = {}
    last: dict[str, int] = {}
    known: dict[Hashable, int] = {}
    jobs = _planned(chosen.profile, chosen.benchmarks)
    for job in jobs:
        context = described(job.spec, job.folder)
        stages = plan_stages(context)
        sizes = [_size(context.task, entry.stage, known) for entry in stages]
        every |= {entry.hash: size for entry, size in zip(stages, sizes, strict=True)}
        last[stages[-1].hash] = sizes[-1]
        told = ", ".join(
            f"{e.stage.name} {size / 2**20:.0f} MiB" for e, size in zip(stages, sizes, strict=True)
        )
        _say(f"{job.spec.method} on {job.spec.benchmark}: {told}")
    _say(f"{chosen.seeds * len(jobs)} jobs, {chosen.seeds * len(every)} stages")
    for name, kept in (("all", every), ("last", last)):
        _say(f"--keep-weights {name}: {chosen.seeds * sum(kept.values()) / 2**30:.0f} GiB")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _planned(profile: str, benchmarks: Sequence[str]) -> list[Job]:
    """All methods, from random weights, whose sizes are those of others, on generated data, which need not be there."""
    with tempfile.TemporaryDirectory() as out:
        request = Request(
            benchmarks=[f"minicity/{name}" for name in benchmarks],
            profile=profile,
            settings=("pretraining=none",),
            device="cpu",
            out=Path(out),
        )
        return [job for job in make_plan(request).jobs if job.state is not State.SKIPPED]


def _size(task: Task, stage: Stage, known: dict[Hashable, int]) -> int:
    """Weights of a stage, built once per method, settings and classes; none of one that makes labels. Units: bytes."""
    if stage.labeller is not None:
        return 0
    key = stage.method, stage.settings.model_dump_json(), task.class_set.name
    if key not in known:
        with torch.device("meta"), mock.patch.object(BaseModule, "init_weights", lambda _: None):
            built = stage.method(task, stage.settings)
        known[key] = sum(tensor.nbytes for tensor in built.state_dict().values())
    return known[key]


if __name__ == "__main__":
    main()
