"""YAML files that are made to do something, or to fill the memory: one line, at once."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from adaptbench.errors import UsageError
from adaptbench.storage import yaml_file

LETTERS = "abcdefghi"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in itertools.pairwise(LETTERS)
)
LONG = "a: &a " + "x" * 60_000 + "\nb: [*a, *a, *a, *a, *a]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: !!python/object/apply:os.system ['touch pwned']",
            "line 1: this is no YAML: could not determine a",
        ),
        ("a: !!python/object/new:os.mkdir [pwned]", "could not determine a constructor"),
        (LAUGHS, "with its aliases written out it has more than"),
        (
            LAUGHS.replace("[", "{<<: [").replace("]", "]}").replace("x, x", "{y: 1}, {y: 1}"),
            "YAML|more than",
        ),
        (LONG, "with its aliases written out it has more than"),
        ("a: &a [*a]\n", "with its aliases written out"),
        ("a: " + "[" * 700, "nested too deeply"),
        ("a: 1\n" * 20_000, "it has 100,000 bytes, and at most 65,536 are read"),
        ("day: 2024-13-45", "a value cannot be read: month must be in 1..12"),
        ("a: !!timestamp x", "a value cannot be read"),
        ("a: " + "1" * 5000, "a value cannot be read: Exceeds the limit"),
        ("a: " + "1:" * 9_000 + "1", "a value cannot be read: Exceeds the limit"),
        ("a: \0", "this is no YAML: unacceptable character #x0000: special characters are not allowed in"),
    ],
)
def test_bombs(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        yaml_file.load(tmp_path / "a.yaml")
    assert str(tmp_path / "a.yaml") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(UsageError, match=r"Cannot read .*a\.yaml: it is a pipe, a device or a socket"):
        yaml_file.load(tmp_path / "a.yaml")


def test_aliases_and_merged_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}\nagain: *b\n")
    content, _ = yaml_file.load(tmp_path / "a.yaml")
    assert content == {"base": {"x": 1, "y": 2}, "own": {"x": 1, "y": 3}, "again": {"x": 1, "y": 2}}
