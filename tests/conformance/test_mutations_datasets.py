"""Planted mistakes of readers and id tables: the traps of the official formats."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts.dataset import Split
from adaptbench.data import files, id_tables, taxonomy

from .handlers.dataset_formats import reader
from .planted import Mutation, assert_noticed


def high_bytes(path: Path) -> Any:
    return np.array(Image.open(path).convert("RGB"))[..., 0]


def colours(path: Path) -> Any:
    return np.array(Image.open(path).convert("RGB").convert("L"))


def with_table(space: str, **changes: Any) -> dict[Any, Any]:
    """The label maps with one of them changed; ``None`` takes an id away."""
    table = {**taxonomy._TABLES[space, "cityscapes19"], **{int(k[1:]): v for k, v in changes.items()}}
    return {
        **taxonomy._TABLES,
        (space, "cityscapes19"): {raw: train for raw, train in table.items() if train is not None},
    }


def module_of(name: str) -> Any:
    return sys.modules[reader(name).__module__]


MUTATIONS = [
    Mutation("synthia high bytes", "label_mapping", files, "read_wide_index_image", high_bytes),
    Mutation("palette colours instead of indices", "label_mapping", files, "read_index_image", colours),
    Mutation("lane markings are road", "label_mapping", taxonomy, "_TABLES", with_table("synthia", _22=0)),
    Mutation(
        "licence plates are cars", "label_mapping", taxonomy, "_TABLES", with_table("cityscapes", _34=13)
    ),
    Mutation(
        "the other mapping of Mapillary",
        "label_mapping",
        taxonomy,
        "_TABLES",
        {**taxonomy._TABLES, ("mapillary", "cityscapes19"): id_tables.MAPILLARY_REIN},
    ),
    Mutation("one id is forgotten", "formats", taxonomy, "_TABLES", with_table("mapillary_v2", _58=None)),
    Mutation("reference images of ACDC", "layouts", module_of("acdc"), "_IMAGE_SUFFIX", "anon.png"),
    Mutation(
        "a wrong count",
        "formats",
        reader("acdc"),
        "splits",
        {**reader("acdc").splits, "val": Split(count=400)},
    ),
    Mutation("terrain is one of the sixteen", "formats", id_tables, "SIXTEEN", tuple(range(16))),
    Mutation("a broken pair is not listed", "layouts", reader("gta5"), "broken", {}),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_planted_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
