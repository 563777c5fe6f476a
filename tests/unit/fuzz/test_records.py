"""Records and matrices: what was written, or an error; and reports of whatever a stranger has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_record
from mutations import damaged, fuzzed, mutated

from adaptbench.errors import RunStateError
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.found import scan_records
from adaptbench.records.record import folder_of, load_record, save_record
from adaptbench.reporting.board import boards
from adaptbench.reporting.latex import render_latex
from adaptbench.reporting.leaderboard import write_leaderboards
from adaptbench.reporting.standing import cached_tests
from adaptbench.storage import sealed_json

RECORD = make_record(overrides={"lr": 0.5, "minicity.gap": 0.25})
PLAIN = RECORD.model_dump(mode="json")
MATRICES = PerImageConfusion(
    ("a", "b"), np.arange(8, dtype=np.uint32).reshape(2, 2, 2), ({"city": "x"}, {"city": "y"})
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def written(out: Path) -> bytes:
    save_record(RECORD, out / "record.json")
    return (out / "record.json").read_bytes()


@fuzzed
@given(data=st.data())
def test_a_damaged_record_is_an_error_or_what_was_written(
    out: Path, written: bytes, data: st.DataObject
) -> None:
    path = out / "record.json"
    path.write_bytes(data.draw(damaged(written)))
    try:
        found = load_record(path)
    except RunStateError as error:
        assert str(path) in str(error)
    else:
        assert found == RECORD


@fuzzed
@given(data=st.data())
def test_damaged_matrices_are_an_error_or_what_was_written(out: Path, data: st.DataObject) -> None:
    path = out / "matrices.npz"
    MATRICES.save(path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        found = PerImageConfusion.load(path)
    except RunStateError as error:
        assert str(path) in str(error)
    else:
        assert (found.names, found.tags) == (MATRICES.names, MATRICES.tags)
        np.testing.assert_array_equal(found.matrices, MATRICES.matrices)


def test_arrays_that_are_hidden_in_a_comment_are_missed(out: Path) -> None:
    """A byte of the list of arrays makes the last two of them, tags and digest, the comment of the one before."""
    path = out / "hidden.npz"
    MATRICES.save(path)
    written = bytearray(path.read_bytes())
    entries = [at for at in range(len(written)) if written.startswith(b"PK\x01\x02", at)]
    end = written.index(b"PK\x05\x06")
    written[entries[1] + 32] = end - entries[2]  # the length of its comment
    path.write_bytes(written)
    with pytest.raises(RunStateError, match="list of arrays was changed"):
        PerImageConfusion.load(path)


@fuzzed
@given(document=mutated(PLAIN))
def test_reports_take_any_record(tmp_path_factory: pytest.TempPathFactory, out: Path, document: Any) -> None:
    """Sealed anew, as a stranger would."""
    good = make_record("fada", 30.0, seed=1)
    folder = out / "foreign"
    save_record(good, folder_of(good, folder) / "record.json")
    path = folder_of(RECORD, folder) / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        text = sealed_json.sealed(document)
    except ValueError:  # a number of too many digits
        text = json.dumps(str(document))
    path.write_text(text, encoding="utf-8")
    before = {one for one in out.rglob("*") if not one.is_relative_to(folder)}
    found = scan_records(folder)
    assert good in found.records
    assert len(found.records) + len(found.unreadable) == 2
    made = boards(found.records)
    write_leaderboards(
        found.records, folder / "leaderboards", found.unreadable, cached_tests.tests_of(made, folder)
    )
    render_latex(found.records)
    assert {one for one in out.rglob("*") if not one.is_relative_to(folder)} == before
