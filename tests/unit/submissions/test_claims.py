"""Forged contributions whose hashes fit: what a record claims must follow from the settings of its method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_contributions import REGISTRY, changed, finished_run, rejected

from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import profile
from adaptbench.planning.identity import group_identity
from adaptbench.records.jobspec import content_hash
from adaptbench.records.record import Record, Snapshot, load_record
from adaptbench.submissions import claims
from adaptbench.submissions.checks import Known, objections
from adaptbench.submissions.pack import read_folder

Maker = Callable[..., Record]
Said = pytest.CaptureFixture[str]


@pytest.fixture
def run(record: Maker, tmp_path: Path) -> Path:
    return finished_run(record, tmp_path)


def forge(run: Path, **fields: Any) -> None:
    """Changes fields of a record and makes its hashes fit."""
    one = load_record(run / "record.json").model_copy(update=fields)
    benchmark: Any = plugins.load(REGISTRY.find("benchmark", "gta5_to_cityscapes"))
    method = [one.method, one.method_version]
    ranking = {**one.ranking, "data": one.data}
    chosen, device = profile(one.profile), one.cost.device
    computed = {"compiled": one.compilation is not None, "accumulate": one.accumulate}
    group = group_identity(
        method, benchmark, ranking, one.settings, chosen, device, one.precision, **computed
    )
    hashes = {
        "ranking": ranking,
        "ranking_hash": content_hash(ranking),
        "group_hash": content_hash(group),
        "job_hash": content_hash({**group, "seed": one.seed}),
    }
    changed(run, **fields, **hashes)


def with_cost(run: Path, **values: Any) -> dict[str, Any]:
    return {"cost": load_record(run / "record.json").cost.model_copy(update=values)}


def with_setting(run: Path, **values: Any) -> dict[str, Any]:
    return {"settings": {**load_record(run / "record.json").settings, **values}}


@pytest.mark.parametrize(
    ("forged", "objection"),
    [
        (lambda run: with_cost(run, training_seconds=-1.0), "training_seconds is -1"),
        (lambda run: with_cost(run, device="tpu"), "there is no device 'tpu'"),
        (lambda run: {"seed": -3}, "seed -3 is negative"),
        (lambda run: {"iterations": 7}, "7 iterations are stated, these settings train"),
        (
            lambda run: with_setting(run, learning_rate=1.0),
            "setting learning_rate is 1.0, with the stated changes it is",
        ),
        (lambda run: with_setting(run, magic=1), "source_only has no setting magic"),
        (lambda run: {"overrides": {"learning_rate": 0.5}}, "setting learning_rate is"),
        (lambda run: {"settings_origin": "published"}, "no paper states settings of source_only"),
        (lambda run: {"snapshots": []}, "it has a table of snapshots, and scores the last iterate"),
    ],
)
def test_forged_claims(
    forged: Callable[[Path], dict[str, Any]], objection: str, run: Path, tmp_path: Path, capsys: Said
) -> None:
    forge(run, **forged(run))
    assert f"[claims] {objection}" in rejected(run, tmp_path, capsys)


def test_what_is_stated_is_taken(run: Path) -> None:
    forge(run, **with_setting(run, learning_rate=0.5), overrides={"learning_rate": 0.5})
    assert objections(read_folder(run), Known(REGISTRY, {})) == []
    forge(run, precision="bf16")
    assert objections(read_folder(run), Known(REGISTRY, {})) == []
    forge(run, precision="float32", compilation={"compiled": [], "uncompiled": ["student.backbone"]})
    assert objections(read_folder(run), Known(REGISTRY, {})) == []
    forge(run, accumulate=2, compilation=None)
    assert objections(read_folder(run), Known(REGISTRY, {})) == []
    changed(run, accumulate=4)
    assert any("hash is" in str(one) for one in objections(read_folder(run), Known(REGISTRY, {})))


def test_a_world_that_nobody_has(run: Path, tmp_path: Path, capsys: Said) -> None:
    data = load_record(run / "record.json").data
    forge(run, data={**data, "gta5": {**data["gta5"], "version": "0123456789ab"}})
    assert "[claims] gta5: its version is '0123456789ab'" in rejected(run, tmp_path, capsys)


@pytest.mark.parametrize("same", ["weights", "confusion matrices"])
def test_one_run_under_two_seeds(same: str, record: Maker, tmp_path: Path) -> None:
    first, second = (read_folder(finished_run(record, tmp_path / str(seed), seed)) for seed in (0, 1))
    split = first.record.scores[0].split
    kept = first.matrices[split] if same == "weights" else second.matrices[split]
    weights = second.record.weights_sha256 if same == "weights" else "0" * 64
    other = first.record.model_copy(update={"weights_sha256": weights, "tags": []})
    plain = type(second)(second.record.model_copy(update={"tags": []}), second.matrices)
    found = [one.reason for one in _only_duplicates(plain, Known(REGISTRY, {}, [(other, kept)]))]
    assert found == [f"its {same} are those of seed 0, job {other.job_hash}, which is here"]
    assert _only_duplicates(second, Known(REGISTRY, {}, [(other, kept)])) == [], "a control may"


def _only_duplicates(found: Any, known: Known) -> list[Any]:
    from adaptbench.submissions import checks

    return [checks.Objection("duplicate", reason) for reason in checks._duplicates(found, known)]


TABLE = [
    Snapshot(iterations=i, miou=miou, label_free={"entropy": -miou}) for i, miou in ((5, 30.0), (10, 40.0))
]


@pytest.mark.parametrize(
    ("rule", "table", "scored", "objection"),
    [
        ("oracle-best", TABLE, 40.0, ""),
        (
            "oracle-best",
            TABLE,
            30.0,
            "by oracle-best the snapshot after 10 iterations is chosen, with 40.0000",
        ),
        ("entropy", TABLE, 30.0, ""),
        ("entropy", TABLE, 40.0, "by entropy the snapshot after 5 iterations is chosen"),
        ("snd", TABLE, 40.0, "a snapshot has no score by the rule snd"),
        ("entropy", TABLE[::-1], 30.0, "its snapshots were taken after [10, 5] of 600 iterations"),
        ("entropy", [], 30.0, "its snapshots were taken after [] of 600 iterations"),
        ("last", None, 30.0, ""),
    ],
)
def test_tables_of_snapshots(rule: str, table: Any, scored: float, objection: str, record: Maker) -> None:
    one = record("dacs", scored, ranking={"checkpoint": rule}, snapshots=table)
    found = list(claims.snapshots(one))
    assert len(found) == bool(objection) and all(objection in reason for reason in found)


def test_hashes_that_cannot_be_checked_are_no_reason_to_take_a_run(
    run: Path, tmp_path: Path, capsys: Said
) -> None:
    """Start weights that are not on this machine are part of them."""
    forge(run)
    changed(run, **with_setting(run, network="daformer-mit_b5", pretraining="default"))
    said = rejected(run, tmp_path, capsys)
    assert "[identity] its hashes cannot be checked without the start weights" in said
