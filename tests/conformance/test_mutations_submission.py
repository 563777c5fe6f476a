"""Planted mistakes in what is written for test servers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adaptbench.prediction import servers
from adaptbench.prediction.servers import SERVERS, Server

from .handlers import submission
from .handlers.dataset_formats import reader
from .planted import Mutation, assert_noticed


def instead(name: str, **changes: object) -> dict[str, Server]:
    return {**SERVERS, name: replace(SERVERS[name], **changes)}  # type: ignore[arg-type]


def without_suffix(self: Server, image: str) -> list[str]:
    return [image.removesuffix("_leftImg8bit.png")]


def rounded_down(confidence: np.ndarray) -> np.ndarray:
    return (confidence * 65535).astype(np.uint16)


TABLE = (submission, "SERVERS")
MUTATIONS = [
    Mutation("train ids for Cityscapes", "submission", *TABLE, instead("cityscapes", id_space="cityscapes_train")),
    Mutation("255 for void pixels of Cityscapes", "submission", *TABLE, instead("cityscapes", ignored=255)),
    Mutation("label ids for ACDC", "submission", *TABLE, instead("acdc", id_space="cityscapes", ignored=0)),
    Mutation("only labels for Dark Zurich", "submission", *TABLE, instead("dark_zurich", folders={"": "ids"})),
    Mutation("names without their end", "submission", Server, "files", without_suffix),
    Mutation("confidence rounded down", "submission", submission, "confidence_levels", rounded_down),
    Mutation("a server is missing", "submission", *TABLE, {"acdc": SERVERS["acdc"]}),
    Mutation("other test images", "submission", reader("acdc"), "splits", reader("cityscapes").splits),
]  # fmt: skip


def test_the_handler_reads_the_table_that_is_used() -> None:
    assert submission.SERVERS is servers.SERVERS


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_planted_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
