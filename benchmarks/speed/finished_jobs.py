"""A results folder of many finished jobs, as runs leave it: jobs, records, confusion matrices; scores are made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adaptbench.data.taxonomy import class_set
from adaptbench.evaluation.metrics import score
from adaptbench.planning.plan import Job, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.jobspec import State, Status, save_job, write_status
from adaptbench.records.record import Cost, NetworkInfo, Record, save_record

IMAGES = 72
CLASSES = class_set("cityscapes19")


def request(out: Path, seeds: int, rates: int) -> Request:
    """source_only and dacs with that many seeds and learning rates."""
    return Request(
        methods=("source_only", "dacs"),
        benchmarks=("minicity/gta5_to_cityscapes",),
        seeds=tuple(range(seeds)),
        out=out,
        device="cpu",
        settings=(f"learning_rate={0.001 * (1 + rates):.5f}",),
    )


def planned(out: Path, rows: int, seeds: int) -> list[Job]:
    """``rows`` rows of a leaderboard with ``seeds`` seeds each."""
    return [job for rate in range(rows // 2) for job in make_plan(request(out, seeds, rate)).jobs]


def finish(jobs: Sequence[Job]) -> None:
    """Writes what a finished run leaves behind, but for weights and images."""
    rng = np.random.default_rng(0)
    for job in jobs:
        save_job(job.spec, job.folder)
        write_status(job.folder, Status(state=State.DONE))
        save_record(_record(job, _confusion(job, rng)), job.folder / "record.json")


def _confusion(job: Job, rng: np.random.Generator) -> PerImageConfusion:
    right = rng.integers(500, 1500, (IMAGES, len(CLASSES)))
    matrices = rng.integers(0, 40, (IMAGES, len(CLASSES), len(CLASSES))).astype(np.uint32)
    matrices[:, range(len(CLASSES)), range(len(CLASSES))] = right
    matrices[:, :, 0] += (3000 - matrices.sum(axis=2)).astype(np.uint32)  # the same labels for all
    cities = ("frankfurt", "lindau", "munster")
    kept = PerImageConfusion(tuple(f"{cities[i % 3]}_{i:06d}_000019" for i in range(IMAGES)), matrices)
    kept.save(job.folder / "confusion" / "cityscapes-val.npz")
    return kept


def _record(job: Job, confusion: PerImageConfusion) -> Record:
    spec = job.spec
    found = score(confusion.total(), CLASSES, split="cityscapes/val", provenance="generated", images=IMAGES)
    return Record(
        **spec.model_dump(
            include={
                *("job_hash", "ranking_hash", "ranking", "group_hash", "method", "profile", "seed"),
                *("settings", "settings_origin", "overrides"),
            }
        ),
        method_title=spec.method,
        method_version=1,
        paper=None,
        tags=["control"] if spec.method == "source_only" else [],
        oracle=False,
        smoke=False,
        benchmark=spec.board,
        benchmark_title="GTA5 to Cityscapes",
        setting="uda",
        network=NetworkInfo(name=spec.settings["network"], parameters=2_889_174, pretraining="none"),
        iterations=spec.settings["iterations"],
        data={name: source.identity() for name, source in spec.data.items()},
        scores=[found],
        weights_sha256=spec.job_hash * 4,
        cost=Cost(training_seconds=1.0, evaluation_seconds=1.0, peak_memory_mib=1.0, device="cpu"),
        environment={},
    )
