"""Streams that start from a network that is trained elsewhere: they are jobs like the others, and marked."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from normed_network import written

from adaptbench.errors import UsageError
from adaptbench.execution.checkpoints.scored import open_checkpoint
from adaptbench.execution.given import imported
from adaptbench.training import checkpoint

from . import streams
from .bench import Bench, Ended, same_bytes, wait_until, without_circumstances
from .streams import matrices_of, record_of, streaming

GOES_ON = (*streams.GOES_ON, "slow_tent.adapt_crop_height=32", "slow_tent.adapt_crop_width=64")
#: A network that opens an image of the source once a job is there, and hides that it was refused.
PEEKS = """

import contextlib
import os
from pathlib import Path


class Peeking(Normed):
    def forward(self, image):
        jobs = Path(__file__).parent.glob("runs/**/job.json")
        worlds = Path(os.environ["ADAPTBENCH_CACHE"]).glob("minicity/cityscapes-*")
        for _, world in zip(jobs, worlds):
            with contextlib.suppress(Exception):
                next(world.glob("leftImg8bit/train/*/*.png")).read_bytes()
        return super().forward(image)


def peeks():
    return build(Peeking())
"""


def start_of(folder: Path, function: str = "build", more: str = "") -> tuple[str, ...]:
    file, weights = written(folder, more)
    return "--start", f"{file}:{function}", "--weights", str(weights)


@pytest.fixture(scope="module")
def finished(bench: Callable[[str], Bench]) -> Bench:
    """The unadapted network of a network file and one that adapts, never interrupted."""
    made = streaming(bench, "given-streams", *GOES_ON)
    answer = made.run("source_only", "slow_tent", options=start_of(made.out.parent / "file"))
    assert answer.code == 0, answer.output
    return made


def test_a_network_file_streams_as_a_job(finished: Bench) -> None:
    adapted, unadapted = (record_of(finished, method) for method in ("slow_tent", "source_only"))
    assert adapted.ranking_hash == unadapted.ranking_hash and adapted.setting == "tta"
    assert adapted.stream is not None and unadapted.stream is not None
    assert (adapted.stream.predictions, unadapted.stream.predictions) == ("after", "unadapted")
    assert [part.round for part in adapted.stream.parts] == [1, 1, 2, 2, 3, 3]
    assert adapted.stream.before == {score.split: score.miou for score in unadapted.scores[1:]}
    assert finished.stage("slow_tent", "source") == finished.stage("source_only", "source")
    for record in (adapted, unadapted):
        assert (record.network.name, record.iterations, record.unseen) == ("Normed", 0, None)
        assert record.network.pretraining == record.overrides["start"]
        assert str(record.overrides["start"]).startswith("normed-build-")
        assert str(finished.out) not in record.model_dump_json()
    void = matrices_of(finished, "source_only")
    assert void.matrices.shape[1:] == (20, 20) and void.matrices[:, :19, 19].any(), (
        "nothing is taken for void"
    )
    assert not void.matrices[:, 19].any(), "void pixels of the truth count"


def test_it_has_a_curve_and_a_board(finished: Bench) -> None:
    board = (finished.out / "leaderboards" / "leaderboard.md").read_text()
    assert "start=normed-build-" in board and "test-time adaptation: the source is closed" in board
    lines = map(json.loads, (finished.folder("slow_tent") / "metrics.jsonl").read_text().splitlines())
    assert [(line["iteration"], line["loss"] > 0) for line in lines] == [
        (number, True) for number in range(6)
    ]


def test_a_killed_stream_of_a_network_file_ends_with_the_same_bits(
    finished: Bench, bench: Callable[[str], Bench]
) -> None:
    killed = streaming(bench, "killed-given-stream", *GOES_ON)
    options = start_of(killed.out.parent / "elsewhere")
    process = killed.start("slow_tent", options=options)
    wait_until(lambda: any(len(p.read_text().splitlines()) >= 4 for p in _tables(killed)), "four predictions")
    for pid in (process.pid, *killed.processes()):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not killed.processes(), "the end of the job")
    assert list(killed.out.glob("stages/*/checkpoint.safetensors")), (
        "it was killed too early to test anything"
    )
    assert all(len(path.read_text().splitlines()) < 6 for path in _tables(killed)), "it was killed too late"
    answer = killed.run("slow_tent", options=options)
    assert answer.code == 0, answer.output
    records = [without_circumstances(one.record("slow_tent")) for one in (killed, finished)]
    assert records[0] == records[1], "a path is in the hash, or the stream went another way"
    stages = [one.stage("slow_tent", "stream") for one in (killed, finished)]
    assert same_bytes(*stages, "labels.jsonl") and same_bytes(*stages, "weights.safetensors")


def _tables(made: Bench) -> list[Path]:
    return list(made.out.glob("stages/*/labels.jsonl"))


def test_a_network_file_sees_no_source(bench: Callable[[str], Bench]) -> None:
    made = streaming(bench, "peeking-file", *GOES_ON)
    answer = made.run("slow_tent", options=start_of(made.out, "peeks", PEEKS))
    assert answer.code == 1, answer.output
    assert "tried to open" in made.status("slow_tent")["reason"]
    assert not list(made.out.glob("stages/*/result.json")) and not list(made.out.glob("runs/**/record.json"))


def test_an_import_is_the_network_that_it_was(bench: Callable[[str], Bench]) -> None:
    """A training of ours, taken for an import: on the same stream it predicts the same."""
    made = streaming(bench, "import-stream")
    answer = made.run("source_only")
    assert answer.code == 0, answer.output
    trained = record_of(made, "source_only")
    tensors, _ = checkpoint.load(made.stage("source_only") / "weights.safetensors")
    prefix = "method.student."
    state = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    facts = imported.Imported(
        name="mine",
        method="source_only",
        network=trained.network.name,
        class_set="cityscapes19",
        weights="student",
        overrides={},
        source_file="mine.pth",
        source_sha256="0" * 64,
        weights_sha256=checkpoint.digest(state),
        parameters=trained.network.parameters,
    )
    given = replace(made, out=made.out.parent / "given", settings=GOES_ON)
    assert imported.keep(given.out, facts, state)
    answer = given.run("source_only", "slow_tent", options=("--start", "mine"))
    assert answer.code == 0, answer.output
    record = record_of(given, "source_only")
    assert record.weights_sha256 == trained.weights_sha256 and record.ranking_hash == trained.ranking_hash
    assert record.job_hash != trained.job_hash and record.overrides == {"start": "mine"}
    assert record.network.name == trained.network.name and record.network.pretraining == "mine"
    assert record.shown_sizes == trained.shown_sizes and record.scores == trained.scores
    assert np.array_equal(*(matrices_of(one, "source_only").matrices for one in (made, given)))
    assert record_of(given, "slow_tent").stream is not None
    with pytest.raises(UsageError, match="trained elsewhere, mine"):
        open_checkpoint(str(given.folder("source_only")), given.out, None, ())


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        (("--start", "nobody"), (), "import (--start)"),
        (("--start", "net.py:build"), (), "Give it with --weights"),
        (("--weights", "net.pth"), (), "which --start names"),
        (None, ("slow_tent.adapt_crop_width=999",), "do not fit into"),
        (None, ("crop=64",), "nothing is trained"),
    ],
)
def test_what_cannot_start_is_found_at_once(
    bench: Callable[[str], Bench],
    options: tuple[str, ...] | None,
    settings: tuple[str, ...],
    said: str,
) -> None:
    made = streaming(bench, "no-start", *settings)
    answer: Ended = made.run(
        "slow_tent", options=start_of(made.out.parent / "f") if options is None else options
    )
    assert answer.code == 2 and said in " ".join(answer.output.split()), answer.output
    assert not (made.out / "runs").exists()
