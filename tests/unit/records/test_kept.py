"""Records of earlier versions are averaged anew from their matrices, and lose nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.evaluation.metrics import score
from adaptbench.records.confusion_files import PerImageConfusion, matrices_path
from adaptbench.records.found import find_records
from adaptbench.records.jobspec import content_hash
from adaptbench.records.kept import identity, load_kept
from adaptbench.records.record import SCHEMA_VERSION, Record, folder_of, save_record
from adaptbench.reporting.board import boards

Maker = Callable[..., Record]
TRAIN = CITYSCAPES19.classes.index("train")
FACTS: Any = {"split": "cityscapes/val", "provenance": "generated", "images": 2}


def confusion(guesses_train: bool) -> PerImageConfusion:
    """Matrices without a pixel of train in the truth."""
    rng = np.random.default_rng(0)
    matrices = rng.integers(1, 50, (2, 19, 19))
    matrices[:, TRAIN] = 0
    if not guesses_train:
        matrices[:, :, TRAIN] = 0
    return PerImageConfusion.collect({str(n): matrix for n, matrix in enumerate(matrices)})


def written(record: Maker, out: Path, method: str, guesses_train: bool, **fields: Any) -> Record:
    """A record as version 4 left it, with its matrices."""
    matrices = confusion(guesses_train)
    old: dict[str, Any] = {"schema_version": 4, "ranking": {"absent_classes": "skip"}, **fields}
    scored = score(matrices.total(), CITYSCAPES19, absent=old["ranking"]["absent_classes"], **FACTS)
    made = record(method, scores=[scored], **old)
    matrices.save(matrices_path(out, made, "cityscapes/val"))
    save_record(made, folder_of(made, out) / "record.json")
    return made


def test_the_mean_of_version_4_is_made_anew(record: Maker, tmp_path: Path) -> None:
    old = written(record, tmp_path, "dacs", guesses_train=True)
    file = folder_of(old, tmp_path) / "record.json"
    before = file.read_bytes()
    found = load_kept(file)
    assert found.scores == [score(confusion(True).total(), CITYSCAPES19, **FACTS)]
    assert found.scores[0].miou > old.scores[0].miou and found.scores[0].iou["train"] is None
    assert found.ranking == {**old.ranking, "absent_classes": "labelled"}
    assert found.ranking_hash == content_hash(found.ranking) != old.ranking_hash
    assert (found.job_hash, found.group_hash) == (old.job_hash, old.group_hash)
    assert found.schema_version == SCHEMA_VERSION
    assert file.read_bytes() == before


def test_it_is_ranked_with_new_records_then(record: Maker, tmp_path: Path) -> None:
    old = load_kept(folder_of(written(record, tmp_path, "dacs", True), tmp_path) / "record.json")
    scores = [score(confusion(False).total(), CITYSCAPES19, **FACTS)]
    new = record("intrada", scores=scores, ranking_hash=content_hash(old.ranking))
    (board,) = boards([old, new])
    assert {row.first.method for row in board.ranked} == {"dacs", "intrada"}


def test_without_matrices_it_stands_on_a_board_of_its_own(
    record: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = written(record, tmp_path, "dacs", guesses_train=True)
    matrices_path(tmp_path, old, "cityscapes/val").unlink()
    save_record(new := record("intrada"), folder_of(new, tmp_path) / "record.json")
    found = find_records(tmp_path)
    assert old in found and len(boards(found)) == 2
    assert "cannot be made anew" in caplog.text and "--force" in caplog.text
    assert any("absent_classes is" in board.departs for board in boards(found))


@pytest.mark.parametrize(
    "fields",
    [
        {"ranking": {"absent_classes": "skip", "protocol": "as-published:hrda"}},
        {"ranking": {"absent_classes": "skip", "checkpoint": "entropy"}},
        {"ranking": {"absent_classes": "skip"}, "schema_version": SCHEMA_VERSION},
        {"ranking": {"absent_classes": "zero"}},
    ],
    ids=str,
)
def test_other_conventions_stay_as_they_are(record: Maker, tmp_path: Path, fields: dict[str, Any]) -> None:
    old = written(record, tmp_path, "dacs", guesses_train=True, **fields)
    assert find_records(tmp_path) == [old]


def test_jobs_are_named_as_before_where_the_mean_decides_nothing() -> None:
    last = {"checkpoint": "last", "profile": "mini"}
    assert identity({**last, "absent_classes": "labelled"}) == {**last, "absent_classes": "skip"}
    each = [
        {**rule, "absent_classes": absent}
        for rule in (last, {**last, "checkpoint": "oracle-best"}, {**last, "protocol": "as-published:hrda"})
        for absent in ("labelled", "skip", "zero")
    ]
    assert len({content_hash(identity(ranking)) for ranking in each}) == len(each)
