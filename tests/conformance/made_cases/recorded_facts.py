"""Facts of the official formats that makers take from the recorded files: tables of ids, and parts of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .making import Array

_FOLDER = Path(__file__).parents[1] / "cases" / "data"
IGNORED = 255

Table = Mapping[int, int]


@cache
def facts(name: str) -> Any:
    """Content of a recorded file, by its path among the recorded data."""
    return json.loads((_FOLDER / name).read_text(encoding="utf-8"))


def id_table(dataset: str, entries: str, key: str) -> Table:
    """Raw id -> the number under ``key``, of one of the lists of a data set."""
    listed = facts("formats/formats.json")["datasets"][dataset][entries]
    return {entry["id"]: entry[key] for entry in listed if entry["id"] >= 0 and entry[key] != IGNORED}


def cityscapes() -> Table:
    """Label id -> train id."""
    return id_table("cityscapes", "labels", "train_id")


def kept(number: int) -> list[int]:
    """Train ids of the class set of so many classes."""
    if number == 19:
        return list(range(19))
    named: list[int] = facts("formats/class_subsets.json")[f"synthia_{number}"]["train_ids"]
    return named


def restricted(table: Table, number: int) -> Table:
    """The same ids in a smaller class set, whose classes are numbered anew."""
    classes = kept(number)
    return {raw: classes.index(train) for raw, train in table.items() if train in classes}


def mapped(raw: Array, table: Table, ignored: int = IGNORED) -> Array:
    """Ids that the table has, one after another; all others are ignored."""
    found = np.full(raw.shape, ignored, dtype=np.int16)
    for number, train in table.items():
        found[raw == number] = train
    return found


def listed(table: Table, length: int, ignored: int = IGNORED) -> Array:
    """The table as an array."""
    return mapped(np.arange(length), table, ignored)


def counts(ids: Array, numbers: Iterable[int]) -> dict[str, int]:
    """Pixels of each id."""
    return {str(number): int((ids == number).sum()) for number in numbers}
