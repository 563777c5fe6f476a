"""Snapshots, and the one that is best on target labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adaptbench.training import checkpoint

from .bench import ITERATIONS, PLUGINS, Bench, read_json

RULE = ("--checkpoint", "oracle-best")


@pytest.fixture(scope="module")
def chosen(bench: Callable[[str], Bench]) -> Bench:
    """First without the rule, whose training is then repeated for its snapshots; then two stages with it."""
    made = replace(bench("checkpoint-rule"), settings=("crop=64",))
    made = replace(made, plugins=(*made.plugins, PLUGINS / "chained.py"))
    for methods, options in ((["source_only"], ()), (["source_only", "after_source"], RULE)):
        answer = made.run(*methods, options=options)
        assert answer.code == 0, answer.output
    return made


def records(made: Bench, method: str) -> dict[str, Path]:
    """Folders of the runs of ``method`` by their rule."""
    folders = (made.out / "runs" / "minicity" / "tiny" / method).iterdir()
    return {read_json(folder / "record.json")["ranking"]["checkpoint"]: folder for folder in folders}


def test_the_best_snapshot_is_scored(chosen: Bench) -> None:
    folder = records(chosen, "source_only")["oracle-best"]
    (file,) = (folder / "stages" / "train").glob("best-*.json")
    facts = read_json(file)
    record = read_json(folder / "record.json")
    assert sorted(map(int, facts["miou"])) == list(range(1, ITERATIONS + 1))
    assert facts["miou"][str(facts["iterations"])] == max(facts["miou"].values())
    assert record["scores"][0]["miou"] == pytest.approx(max(facts["miou"].values()))
    assert not (folder / "stages" / "train" / "snapshots").exists()


def test_its_rows_are_oracles_on_a_board_of_their_own(chosen: Bench) -> None:
    runs = records(chosen, "source_only")
    last, best = (read_json(runs[rule] / "record.json") for rule in ("last", "oracle-best"))
    assert best["oracle"]
    assert not last["oracle"]
    assert best["ranking_hash"] != last["ranking_hash"]


def test_the_training_is_the_same(chosen: Bench) -> None:
    runs = records(chosen, "source_only")
    folders = {(runs[rule] / "stages" / "train").resolve() for rule in runs}
    assert len(folders) == 1
    (folder,) = folders
    (best,) = folder.glob("best-*.safetensors")
    facts = json.loads(best.with_suffix(".json").read_text(encoding="utf-8"))
    tensors, header = checkpoint.load(best)
    assert header["iterations"] == facts["iterations"]
    assert (
        checkpoint.digest(tensors) == checkpoint.digest(checkpoint.load(folder / "weights.safetensors")[0])
    ) == (facts["iterations"] == ITERATIONS)


def test_what_starts_from_a_chosen_network_is_another_training(chosen: Bench) -> None:
    assert read_json(records(chosen, "after_source")["oracle-best"] / "record.json")["oracle"]
    stage = records(chosen, "after_source")["oracle-best"] / "stages" / "second"
    identity = read_json(stage / "stage.json")
    first = (stage.parent / "first").resolve()
    (best,) = first.glob("best-*.safetensors")
    assert identity["start"] == f"{first.name}-{best.stem.removeprefix('best-')}"


def test_where_nothing_is_trained_there_is_nothing_to_choose(bench: Callable[[str], Bench]) -> None:
    made = replace(bench("nothing-trained"), settings=("crop=64", "iterations=0"))
    answer = made.run("source_only", options=RULE)
    assert answer.code == 0, answer.output
    record = read_json(records(made, "source_only")["oracle-best"] / "record.json")
    assert not record["oracle"]
