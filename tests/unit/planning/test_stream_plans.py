"""Plans of test-time adaptation: what a stream shows is in the ranking, and what cannot be is found in time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptbench.contracts import profiles
from adaptbench.contracts.benchmark import StreamOrder
from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.contracts.task import Task
from adaptbench.errors import DataError, PluginError, UsageError
from adaptbench.planning.plan import Job, Plan, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import State
from adaptbench.records.start import Start

STREAM = "minicity/cityscapes_to_acdc_stream"
#: A benchmark like `STREAM`, with what a test changes.
FILE = """
from adaptbench.contracts.benchmark import Benchmark, SplitRef, StreamOrder

class Mine(Benchmark):
    name = "mine"
    title = "Mine"
    setting = "tta"
    class_set = "cityscapes19"
    source = (SplitRef("cityscapes", "train"),)
    target = ()
    evaluation = (SplitRef("acdc", "train"), SplitRef("cityscapes", "val"))
    stream = StreamOrder(("fog", "night"), rounds=2)
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))


def plan(*methods: str, **request: Any) -> Plan:
    usual = {"benchmarks": (STREAM,), "out": Path("nowhere"), "device": "cpu"}
    return make_plan(Request(methods=methods, **{**usual, **request}))


def mine(tmp_path: Path, old: str = "", new: str = "", method: str = "source_only", **request: Any) -> Job:
    assert old in FILE
    text = FILE.replace(old, new) if old else FILE
    file = tmp_path / f"mine_{hashlib.sha256(text.encode()).hexdigest()}.py"  # a module is imported once
    file.write_text(text)
    (job,) = plan(method, benchmarks=("mine",), plugins=(file,), **request).jobs
    return job


def test_all_methods_of_a_stream_stand_on_one_board_and_share_the_source() -> None:
    jobs = plan("source_only", "tent", "norm_adapt", "cotta").jobs
    assert len({job.spec.ranking_hash for job in jobs}) == 1
    assert {job.state for job in jobs} == {State.PLANNED}
    assert len({job.iterations for job in jobs}) == 1, "the stream is no training"
    assert jobs[0].spec.ranking["setting"] == "tta"
    assert jobs[0].spec.ranking["stream"] == {"conditions": ["fog", "night", "rain", "snow"], "rounds": 3}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('("fog", "night")', '("night", "fog")'),
        ('("fog", "night")', '("fog",)'),
        ('("fog", "night")', "()"),
        ("rounds=2", "rounds=1"),
    ],
)
def test_order_and_rounds_are_part_of_the_ranking(tmp_path: Path, old: str, new: str) -> None:
    usual, changed = mine(tmp_path).spec, mine(tmp_path, old, new).spec
    assert usual.ranking_hash != changed.ranking_hash
    assert usual.job_hash != changed.job_hash


def test_a_profile_may_have_fewer_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = mine(tmp_path, "rounds=2", "rounds=10").spec.ranking
    assert usual["stream"]["rounds"] == 3
    full = replace(profiles.PROFILES["mini"], most_rounds=None)
    monkeypatch.setitem(profiles.PROFILES, "mini", full)
    assert mine(tmp_path, "rounds=2", "rounds=10").spec.ranking["stream"]["rounds"] == 10


def test_other_rankings_say_nothing_of_streams() -> None:
    (job,) = plan("source_only", benchmarks=("minicity/cityscapes_to_acdc",)).jobs
    assert "stream" not in job.spec.ranking


@pytest.mark.parametrize(
    ("methods", "request_", "reason"),
    [
        (("tent",), {"benchmarks": ("minicity/gta5_to_cityscapes",)}, "this benchmark has none"),
        (("tent",), {"benchmarks": ("minicity/gta5_dg",)}, "this benchmark has none"),
        (("dacs",), {}, "seen in the test alone"),
        (("oracle",), {}, "seen in the test alone"),
        (("source_only",), {"checkpoint": "oracle-best"}, "only last can be"),
        (("tent",), {"checkpoint": "entropy"}, "only last can be"),
    ],
)
def test_what_makes_no_sense_is_skipped(
    methods: tuple[str, ...], request_: dict[str, Any], reason: str
) -> None:
    (job,) = plan(*methods, **request_).jobs
    assert job.state is State.SKIPPED
    assert reason in job.reason


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("tent", "adapt_crop_width=241", r"crops of 64x241 .* images of 135x240"),
        ("tent", "adapt_learning_rate=0", "adapt_learning_rate .of SGD. should be greater than 0"),
        ("tent", "network=linear-timm:vit_tiny_patch16_224", "no BatchNorm2d"),
        ("norm_adapt", "network=linear-timm:vit_tiny_patch16_224", "no BatchNorm2d"),
        ("cotta", "adapt_ratios=[0.5,1.0,2.0]", "the third ratio must be 1"),
        ("cotta", "adapt_ratio=1", "Did you mean 'adapt_ratios'"),
    ],
)
def test_what_cannot_adapt_is_found_before_anything_is_trained(
    method: str, settings: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(method, settings=(settings, "pretraining=none"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('stream = StreamOrder(("fog", "night"), rounds=2)', "", "'tta' needs a stream"),
        ('setting = "tta"', 'setting = "dg"', "other settings have none"),
        ("target = ()", 'target = (SplitRef("acdc", "val"),)', "'tta' has no target"),
        ("rounds=2", "rounds=0", "expected 1 round or more, found 0"),
        ('"night")', '"fog")', "a condition is stated twice"),
    ],
)
def test_a_stream_that_contradicts_itself(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        mine(tmp_path, old, new)


def test_official_images_of_an_unknown_condition(tmp_path: Path) -> None:
    """As in a flat copy, whose folders tell none."""
    for name, image, label in (
        ("acdc", "rgb_anon/train/a_frame_1_rgb_anon.png", "gt/train/a_frame_1_gt_labelTrainIds.png"),
        ("cityscapes", "leftImg8bit/train/a/a_leftImg8bit.png", "gtFine/train/a/a_gtFine_labelIds.png"),
        ("cityscapes", "leftImg8bit/val/a/a_leftImg8bit.png", "gtFine/val/a/a_gtFine_labelIds.png"),
    ):
        for path in (tmp_path / "data" / name / image, tmp_path / "data" / name / label):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    official = {"data": "official", "data_root": tmp_path / "data"}
    assert mine(tmp_path, '("fog", "night")', "()", **official).state is State.PLANNED
    with pytest.raises(DataError, match="tagged fog, night, which the stream shows"):
        mine(tmp_path, **official)


def test_orders_are_plain_facts() -> None:
    assert StreamOrder() == StreamOrder((), 1)


class GivenNetwork:
    """A network from elsewhere, which goes together with everything."""

    def __init__(self, **changes: Any) -> None:
        facts = {"name": "mine", "network": "Mine", "class_set": "cityscapes19", "weights_sha256": "0" * 64}
        self.start = Start.model_validate({**facts, **changes})
        self.asked: list[tuple[str, Any]] = []

    def require_fitting(self, method: type[StreamMethod], settings: Any, task: Task, image: Any) -> None:
        self.asked.append((method.name, image))


def test_jobs_may_start_from_a_network_that_is_trained_elsewhere() -> None:
    given = GivenNetwork()
    trained, (job,) = plan("tent").jobs[0], plan("tent", given=given).jobs
    assert job.spec.ranking_hash == trained.spec.ranking_hash and job.spec.job_hash != trained.spec.job_hash
    assert job.spec.overrides == {"start": "mine"} and job.iterations == ()
    assert "start" not in trained.spec.model_dump(mode="json")
    assert given.asked == [("tent", (135, 240))]
    other = plan("tent", given=GivenNetwork(weights_sha256="1" * 64)).jobs[0]
    assert other.spec.job_hash != job.spec.job_hash


def test_the_place_of_a_network_file_is_in_no_hash() -> None:
    places = ({"file": f"/{name}/net.py", "weights": f"/{name}/net.pth"} for name in "ab")
    stated = {"function": "build", "file_sha256": "2" * 64}
    jobs = [plan("tent", given=GivenNetwork(place={**place, **stated})).jobs[0] for place in places]
    assert (
        jobs[0].spec.job_hash
        == jobs[1].spec.job_hash
        != plan("tent", given=GivenNetwork()).jobs[0].spec.job_hash
    )


def test_a_network_that_averages_its_test_is_on_a_board_of_its_own() -> None:
    usual, averaging = (
        plan("tent", given=GivenNetwork(test_time_augmentation=text)).jobs[0].spec
        for text in ("none", "scales")
    )
    assert usual.ranking_hash != averaging.ranking_hash


@pytest.mark.parametrize(
    ("given", "request_", "message"),
    [
        ({}, {"benchmarks": ("minicity/cityscapes_to_acdc",)}, "has no stream"),
        ({"class_set": "camvid11"}, {}, "scored in camvid11, cityscapes_to_acdc_stream in cityscapes19"),
        ({}, {"settings": ("iterations=3",)}, "nothing is trained, so that iterations would change nothing"),
        ({}, {"networks": ("deeplabv2-lite0",)}, "Leave --networks out"),
        ({}, {"precision": "bf16"}, "Leave --precision out"),
    ],
)
def test_what_a_given_network_cannot_be(given: Any, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan("source_only", given=GivenNetwork(**given), **request_)


@pytest.mark.parametrize("method", ["dacs", "daformer_dg"])
def test_trainings_are_left_out_where_a_network_is_given(method: str) -> None:
    (job,) = plan(method, given=GivenNetwork()).jobs
    assert job.state is State.SKIPPED
