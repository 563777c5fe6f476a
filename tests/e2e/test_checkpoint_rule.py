"""Snapshots, and the one that is best on target labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adaptbench.execution.stages.choice import selection_by, weights_name
from adaptbench.records.jobspec import load_job
from adaptbench.storage import sealed_json
from adaptbench.training import checkpoint

from .bench import PLUGINS, Bench, read_json

RULE = ("--checkpoint", "oracle-best")
LABEL_FREE = ("--checkpoint", "entropy")
#: As many as there are snapshots, each of which is scored.
ITERATIONS = 2


@pytest.fixture(scope="module")
def chosen(bench: Callable[[str], Bench]) -> Bench:
    """First without the rule, whose training is then repeated for its snapshots; then two stages with it; then one
    stage again by another rule, whose choice was made along with the first."""
    made = replace(bench("checkpoint-rule"), settings=("crop=64",), iterations=ITERATIONS)
    made = replace(made, plugins=(*made.plugins, PLUGINS / "chained.py"))
    calls = ((["source_only"], ()), (["source_only", "after_source"], RULE), (["source_only"], LABEL_FREE))
    for methods, options in calls:
        answer = made.run(*methods, options=options)
        assert answer.code == 0, answer.output
    return made


def records(made: Bench, method: str) -> dict[str, Path]:
    """Folders of the runs of ``method`` by their rule."""
    folders = (made.out / "runs" / "minicity" / "tiny" / method).iterdir()
    return {read_json(folder / "record.json")["ranking"]["checkpoint"]: folder for folder in folders}


def best_of(run: Path, stage: str) -> Path:
    """The weights of a stage that a run chose by target labels."""
    return run / "stages" / stage / weights_name(selection_by("oracle-best", load_job(run)))


def test_the_best_snapshot_is_scored(chosen: Bench) -> None:
    folder = records(chosen, "source_only")["oracle-best"]
    facts = read_json(best_of(folder, "train").with_suffix(".json"))
    record = read_json(folder / "record.json")
    assert sorted(map(int, facts["miou"])) == list(range(1, ITERATIONS + 1))
    assert facts["miou"][str(facts["iterations"])] == max(facts["miou"].values())
    assert record["scores"][0]["miou"] == pytest.approx(max(facts["miou"].values()))
    kept = {path.name for path in (folder / "stages" / "train" / "snapshots").iterdir()}
    chosen = {path.resolve().name for path in (folder / "stages" / "train").glob("*-*.safetensors")}
    assert kept == chosen and f"{facts['iterations']:06d}.safetensors" in kept


def test_the_choice_that_finishes_a_stage_is_written_last(chosen: Bench) -> None:
    own = best_of(records(chosen, "source_only")["oracle-best"], "train")
    links = [file for file in own.parent.glob("*.safetensors") if file.is_symlink()]
    assert len(links) == 4 + 3, "four protocols choose by labels, and three rules without"
    assert own.lstat().st_mtime_ns == max(link.lstat().st_mtime_ns for link in links)


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
    best = best_of(runs["oracle-best"], "train")
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
    best = best_of(records(chosen, "after_source")["oracle-best"], "first")
    assert identity["start"] == f"{first.name}-{best.stem.removeprefix('best-')}"


def test_a_label_free_choice_is_no_oracle_and_trains_nothing_again(chosen: Bench) -> None:
    runs = records(chosen, "source_only")
    best, free = (read_json(runs[rule] / "record.json") for rule in ("oracle-best", "entropy"))
    assert not free["oracle"] and free["ranking_hash"] != best["ranking_hash"]
    assert free["snapshots"] == best["snapshots"] and len(free["snapshots"]) == ITERATIONS
    scores = [snapshot["label_free"]["entropy"] for snapshot in free["snapshots"]]
    picked = free["snapshots"][scores.index(max(scores))]
    assert free["scores"][0]["miou"] == pytest.approx(picked["miou"])
    assert set(picked["label_free"]) == {"entropy", "infomax", "snd"}
    assert free["cost"]["training_seconds"] == best["cost"]["training_seconds"]


def test_agreement_needs_a_teacher(chosen: Bench) -> None:
    answer = chosen.run("source_only", options=("--checkpoint", "agreement", "--dry-run"))
    assert "no teacher" in " ".join(answer.output.split())


def test_a_label_free_choice_is_the_same_where_there_are_no_target_labels(
    chosen: Bench, bench: Callable[[str], Bench], unlabelled_cache: Path
) -> None:
    blind = replace(
        bench("blind-choice"), cache=unlabelled_cache, settings=chosen.settings, iterations=ITERATIONS
    )
    answer = blind.run("source_only", options=LABEL_FREE)
    assert answer.code == 1 and "images" in blind.status("source_only")["reason"], "scoring needs labels"
    (file,) = (blind.stage("source_only") / "snapshots").glob("label-free-*.json")
    snapshots = read_json(records(chosen, "source_only")["entropy"] / "record.json")["snapshots"]
    expected = {
        rule: {str(s["iterations"]): s["label_free"][rule] for s in snapshots}
        for rule in snapshots[0]["label_free"]
    }
    assert sealed_json.read(file, "") == expected


def test_where_nothing_is_trained_there_is_nothing_to_choose(bench: Callable[[str], Bench]) -> None:
    made = replace(bench("nothing-trained"), settings=("crop=64", "iterations=0"))
    answer = made.run("source_only", options=RULE)
    assert answer.code == 0, answer.output
    record = read_json(records(made, "source_only")["oracle-best"] / "record.json")
    assert not record["oracle"]
