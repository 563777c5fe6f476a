"""--image-cache: the same weights, images that are decoded once, and nothing in it that a training must not know."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import pytest
from forks import in_fork

from adaptbench.data import firewall, image_cache, landlock
from adaptbench.data.image_cache import ImageCache
from adaptbench.data.stream import TrainingStream
from adaptbench.errors import FirewallError, UsageError
from adaptbench.execution import job_context
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.stages.data import cached, training_data
from adaptbench.execution.stages.planned import plan_stages
from adaptbench.execution.stages.sealing import seal
from adaptbench.planning import sources
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import save_job

from .bench import Bench


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's generated images are."""
    return tmp_path_factory.mktemp("worlds")


def test_weights_are_the_same_and_a_second_job_reads(cache: Path, tmp_path: Path) -> None:
    folder, weights, said = tmp_path / "decoded", set(), []
    for name in ("plain", "filling", "reading"):
        made = Bench(tmp_path / name, cache, settings=("crop=64",), iterations=2)
        answer = made.run("dacs", options=() if name == "plain" else ("--image-cache", str(folder)))
        assert answer.code == 0, answer.output
        record, log = made.record("dacs"), (made.folder("dacs") / "log.txt").read_text()
        weights.add((record["weights_sha256"], record["job_hash"]))
        said += [line.partition(f"{folder}: ")[2] for line in log.splitlines() if "read from it" in line]
    entries = [path for path in folder.rglob("*") if path.is_file()]
    assert len(weights) == 1 and entries
    assert said == [
        f"0 images read from it, {len(entries)} decoded and added",
        f"{len(entries)} images read from it, 0 decoded and added",
    ]


def open_job(tmp_path: Path, benchmark: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> JobContext:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(cache))
    request = Request(
        ("source_only",),
        (benchmark,),
        out=tmp_path / "out",
        limit=1,
        device="cpu",
        image_cache=tmp_path / "decoded",
    )
    (job,) = make_plan(request).jobs
    sources.generate(list(job.spec.data.items()), lambda *_: lambda *_: None)
    save_job(job.spec, job.folder)
    return job_context.open_job_context(job.spec, job.folder)


def sealed(context: JobContext, cache: ImageCache) -> TrainingStream:
    (planned,) = plan_stages(context)
    labelled, target = training_data(context, planned.stage)
    stream = TrainingStream(
        cached(labelled, cache),
        None if target is None else cached(target, cache),
        planned.stage.settings,
        0,
    )
    seal(context, stream)
    return stream


def test_a_sealed_training_reads_its_own_images_and_no_others(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        image_cache.SPARED = 0
        context = open_job(tmp_path, "gta5_dg", monkeypatch, cache)
        kept = ImageCache(tmp_path / "decoded", print)
        gta5, unseen = context.datasets["gta5"], context.datasets["cityscapes"]
        other = unseen.samples("val")[0]
        kept.add(unseen, other)
        (forbidden,) = [path for path in kept.folder.rglob("*") if path.is_file()]
        stream = sealed(context, kept)
        for _ in range(2):
            reader, sample, *_ = stream.labelled.items[0]
            reader.read_image(sample)
        assert str(kept).endswith("1 images read from it, 2 decoded and added")
        assert kept.folder_of(gta5, sample).is_dir()
        firewall.require_intact()
        if landlock.missing() is None:
            assert ctypes.CDLL(None, use_errno=True).open(str(forbidden).encode(), 0) < 0
            (mine,) = kept.folder_of(gta5, sample).iterdir()
            assert ctypes.CDLL(None, use_errno=True).open(str(mine).encode(), 0) >= 0
        for read in (forbidden.read_bytes, lambda: kept.read(unseen, other)):
            with pytest.raises(FirewallError, match="tried to open"):
                read()
        with pytest.raises(FirewallError):
            firewall.require_intact()

    in_fork(act)


def test_the_cache_opens_no_labels(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links in the place of its folders lead to labels, which stay closed."""

    def act() -> None:
        context = open_job(tmp_path, "gta5_to_cityscapes", monkeypatch, cache)
        kept = ImageCache(tmp_path / "decoded", print)
        gta5 = context.datasets["gta5"]
        sample = gta5.samples("all")[0]
        place = kept.folder_of(gta5, sample)
        place.parent.mkdir(parents=True)
        place.symlink_to(sample.label.parent, target_is_directory=True)
        with pytest.raises(UsageError, match="out of reach"):
            sealed(context, kept)
        firewall.seal(context.closed_folders, opened=[place])
        with pytest.raises(FirewallError, match="tried to open"):
            sample.label.read_bytes()
        with pytest.raises(FirewallError, match="tried to open"):
            (place / sample.label.name).read_bytes()
        if landlock.missing() is None:
            assert ctypes.CDLL(None, use_errno=True).open(str(sample.label).encode(), 0) < 0

    in_fork(act)


def test_code_of_a_method_cannot_read_it_when_stages_are_planned(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:  # an attempt stays noted for the rest of a process
        context = open_job(tmp_path, "gta5_dg", monkeypatch, cache)
        kept = tmp_path / "decoded" / image_cache.FOLDER / "cityscapes" / "one.strips"
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"pixels")
        with firewall.closed(context.closed_folders), pytest.raises(FirewallError, match="tried to open"):
            kept.read_bytes()

    in_fork(act)


def test_it_lies_in_no_label_folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act() -> None:
        context = open_job(tmp_path, "gta5_to_cityscapes", monkeypatch, cache)
        place = context.datasets["gta5"].label_places[0] / "decoded"
        spec = context.spec.model_copy(update={"image_cache": str(place)})
        with pytest.raises(UsageError, match="Choose another folder"):
            sealed(replace(context, spec=spec), ImageCache(place, print))
        assert not place.exists()

    in_fork(act)
