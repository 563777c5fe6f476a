"""Test-time adaptation: source and labels are closed, a killed stream ends with the same bits, boards are its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forks import in_fork

from adaptbench.errors import FirewallError, UsageError
from adaptbench.execution import job_context
from adaptbench.execution.checkpoints.scored import open_checkpoint
from adaptbench.execution.scored_splits import ranked_split, stream_places
from adaptbench.execution.stages.sealing import put_out_of_reach
from adaptbench.records.confusion_files import without_round
from adaptbench.records.jobspec import load_job

from .bench import Bench, same_bytes, wait_until, without_circumstances
from .streams import GOES_ON, matrices_of, record_of, streaming


@pytest.fixture(scope="module")
def finished(bench: Callable[[str], Bench]) -> Bench:
    """The unadapted network and one that adapts, never interrupted."""
    made = streaming(bench, "streams", *GOES_ON)
    answer = made.run("source_only", "slow_tent")
    assert answer.code == 0, answer.output
    return made


def lines(made: Bench, pattern: str) -> list[str]:
    return [line for path in made.out.glob(pattern) for line in path.read_text().splitlines()]


def test_there_is_a_matrix_for_every_image_and_round(finished: Bench) -> None:
    adapted, unadapted = (matrices_of(finished, method) for method in ("slow_tent", "source_only"))
    assert adapted.names == unadapted.names
    assert [(facts["round"], facts["condition"]) for facts in adapted.tags] == [
        (number, condition) for number in "123" for condition in ("snow", "fog")
    ]
    assert len({without_round(name) for name in adapted.names}) == 2
    rounds = unadapted.matrices.reshape(3, 2, 19, 19)
    assert (rounds == rounds[0]).all()
    assert not (adapted.matrices[:2] == adapted.matrices[4:]).all(), "it has learned nothing"


def test_the_record_tells_what_became_of_the_network(finished: Bench) -> None:
    adapted, unadapted = (record_of(finished, method) for method in ("slow_tent", "source_only"))
    assert adapted.ranking_hash == unadapted.ranking_hash and adapted.setting == "tta"
    assert adapted.stream is not None and unadapted.stream is not None
    assert (adapted.stream.predictions, unadapted.stream.predictions) == ("after", "unadapted")
    before = {score.split: score.miou for score in unadapted.scores[1:]}
    assert adapted.stream.before == before and unadapted.stream.before == {}
    assert adapted.scores[1].miou != before["cityscapes/val"]
    assert [(part.round, part.condition, part.images) for part in adapted.stream.parts] == [
        (number, condition, 1) for number in (1, 2, 3) for condition in ("snow", "fog")
    ]
    assert adapted.cost.adaptation_seconds_per_image is not None and adapted.cost.flops is None
    assert unadapted.cost.adaptation_seconds_per_image is None
    assert finished.stage("slow_tent", "source") == finished.stage("source_only")


def test_the_curve_goes_over_the_stream(finished: Bench) -> None:
    text = (finished.folder("slow_tent") / "metrics.jsonl").read_text()
    curve = [line for line in map(json.loads, text.splitlines()) if "image_miou" in line]
    assert [line["iteration"] for line in curve] == list(range(6))
    assert all(line["loss"] > 0 and 0 <= line["image_miou"] <= 100 for line in curve)


def test_they_stand_on_one_board(finished: Bench) -> None:
    board = (finished.out / "leaderboards" / "leaderboard.md").read_text()
    assert board.count("## minicity/tiny") == 1
    assert "test-time adaptation: the source is closed" in board
    assert "stream.conditions: snow, fog" in board


def test_a_killed_stream_ends_like_one_that_was_left_alone(
    finished: Bench, bench: Callable[[str], Bench]
) -> None:
    killed = streaming(bench, "killed-stream", *GOES_ON)
    process = killed.start("slow_tent")
    wait_until(lambda: len(lines(killed, "stages/*/labels.jsonl")) >= 4, "four predictions")
    for pid in (process.pid, *killed.processes()):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not killed.processes(), "the end of the job")
    assert list(killed.out.glob("stages/*/checkpoint.safetensors")), (
        "it was killed too early to test anything"
    )
    assert len(lines(killed, "stages/*/labels.jsonl")) < 6, "it was killed too late to test anything"
    answer = killed.run("slow_tent")
    assert answer.code == 0, answer.output
    records = [without_circumstances(one.record("slow_tent")) for one in (killed, finished)]
    assert records[0] == records[1]
    places = [one.folder("slow_tent") for one in (killed, finished)]
    assert np.array_equal(*(matrices_of(one, "slow_tent").matrices for one in (killed, finished)))
    assert same_bytes(*places, "metrics.jsonl")
    stages = [one.stage("slow_tent", "stream") for one in (killed, finished)]
    assert same_bytes(*stages, "labels.jsonl") and same_bytes(*stages, "weights.safetensors")
    assert not list(killed.out.rglob("*.tmp")) and not (stages[0] / "checkpoint.safetensors").exists()


def test_source_and_labels_cannot_be_opened_during_a_stream(finished: Bench) -> None:
    def act() -> None:
        os.environ["ADAPTBENCH_CACHE"] = str(finished.cache)
        folder = finished.folder("slow_tent")
        context = job_context.open_job_context(load_job(folder), folder)
        places, split = stream_places(context), ranked_split(context)
        source = context.datasets["cityscapes"].samples("train")[0]
        unseen = context.datasets["cityscapes"].samples("val")[0]
        put_out_of_reach(context, [one.sample.image for one in places], closed=context.source_folders)
        assert split.dataset.read_image(places[0].sample).shape[2] == 3
        for path in (source.image, source.label, unseen.image, unseen.label, places[0].sample.label):
            with pytest.raises(FirewallError, match="tried to open"):
                path.read_bytes()

    in_fork(act)


def test_who_looks_at_the_source_fails_and_leaves_nothing(bench: Callable[[str], Bench]) -> None:
    made = streaming(bench, "peeking-stream")
    answer = made.run("peeks_at_source")
    assert answer.code == 1
    assert "tried to open" in made.status("peeks_at_source")["reason"]
    assert not (made.folder("peeks_at_source") / "record.json").exists()
    assert not (made.stage("peeks_at_source", "stream") / "result.json").exists()


def test_there_is_no_one_network_to_take(finished: Bench) -> None:
    folder: Path = finished.folder("slow_tent")
    with pytest.raises(UsageError, match=r"changed with every image of its stream.*--adapt slow_tent"):
        open_checkpoint(str(folder), finished.out, None, ())
