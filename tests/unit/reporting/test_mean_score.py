"""The mean over several targets is a column, where a benchmark asks for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adaptbench.records.record import Record
from adaptbench.reporting.board import MIOU, View, boards
from adaptbench.reporting.leaderboard import render_csv, render_markdown
from adaptbench.reporting.mean_score import with_mean

Maker = Callable[..., Record]
TARGETS = ["cityscapes/val", "bdd100k/val"]
MEAN = "mean of cityscapes/val, bdd100k/val"


def test_every_split_counts_alike(record: Maker) -> None:
    one = record("dacs", 40.0, further={"bdd100k/val": 30.0, "gta5/heldout": 90.0}, averaged=TARGETS)
    *stated, mean = with_mean(one)
    assert stated == one.scores
    assert (mean.split, mean.miou, mean.class_set) == (MEAN, 35.0, "cityscapes19")
    assert mean.images == stated[0].images + stated[1].images
    present = [score.iou["road"] for score in stated[:2]]
    assert mean.iou["road"] == pytest.approx(sum(value or 0 for value in present) / 2)


def test_a_class_that_one_split_lacks_has_no_mean(record: Maker) -> None:
    one = record("dacs", 40.0, further={"bdd100k/val": 30.0}, averaged=TARGETS)
    lacking = one.scores[1].model_copy(update={"iou": {**one.scores[1].iou, "road": None}})
    mean = with_mean(one.model_copy(update={"scores": [one.scores[0], lacking]}))[-1]
    assert mean.iou["road"] is None


@pytest.mark.parametrize("averaged", [[], [*TARGETS, "acdc/val"]])
def test_none_where_none_is_asked_for_or_a_split_is_missing(record: Maker, averaged: list[str]) -> None:
    one = record("dacs", 40.0, further={"bdd100k/val": 30.0}, averaged=averaged)
    assert with_mean(one) == one.scores


def test_boards_show_it_with_its_deviation_over_seeds(record: Maker) -> None:
    further = ({"bdd100k/val": 30.0}, {"bdd100k/val": 34.0})
    made = [record("dacs", 40.0, seed, further=further[seed], averaged=TARGETS) for seed in (0, 1)]
    (board,) = boards(made)
    found = board.rows[0].statistics[View("cityscapes19", MEAN), MIOU]
    assert (found.mean, found.n) == (36.0, 2)
    assert found.std == pytest.approx(2**0.5)
    assert f"mIoU (cityscapes19, {MEAN})" in render_markdown(made)
    assert f",{MEAN}" in render_csv(made).replace('"', "")
