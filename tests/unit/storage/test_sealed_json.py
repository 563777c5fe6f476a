"""A file of numbers is what was written, or an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptbench.errors import RunStateError
from adaptbench.storage import sealed_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key != "digest"), VALUES, max_size=4))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "sealed.json"
    sealed_json.write(path, content)
    assert sealed_json.read(path, "") == json.loads(json.dumps(content))


def test_numbers_as_keys_become_texts(tmp_path: Path) -> None:
    sealed_json.write(tmp_path / "a.json", {"scores": {10: 1.5, 9: 2.5}})
    assert sealed_json.read(tmp_path / "a.json", "") == {"scores": {"10": 1.5, "9": 2.5}}


@pytest.mark.parametrize(
    "change", [('"miou": 5', '"miou": 9'), ("\n}", ""), ('"digest"', '"digest": 0, "x"')]
)
def test_a_change_is_an_error_with_a_way_out(change: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    sealed_json.write(path, {"miou": 5.25})
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(RunStateError, match=rf"{path} .*Make it again\."):
        sealed_json.read(path, "Make it again.")


def test_files_of_older_versions_have_no_digest(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seconds": 3}')
    assert sealed_json.read(tmp_path / "a.json", "") == {"seconds": 3}
    with pytest.raises(RunStateError, match="cannot be read"):
        sealed_json.read(tmp_path / "b.json", "")
