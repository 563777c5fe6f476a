"""Which classes are pasted: the list as it is published, and as it is meant."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptbench.adaptation.source_paste import candidates, draw_picks, picked_classes


def label_of(*values: int) -> torch.Tensor:
    return torch.tensor([list(values)])


@pytest.mark.parametrize(
    ("values", "eligible", "number"),
    [((0, 1, 2), 0, 0), ((0, 7, 255), 1, 1), ((5, 6), 2, 1), ((3, 5, 6, 7), 3, 1), ((5, 6, 7, 8, 9), 5, 2)],
)
def test_half_of_the_eligible_classes_are_picked(values: tuple[int, ...], eligible: int, number: int) -> None:
    found = candidates(label_of(*values), 5)
    assert (found.eligible, found.number) == (eligible, number)
    picks = draw_picks(found, np.random.default_rng(0))
    assert len(set(picks.tolist())) == number
    assert all(0 <= pick < eligible for pick in picks)


def test_as_published_the_class_before_the_drawn_one_is_pasted() -> None:
    found = candidates(label_of(0, 3, 5, 9, 12), 5)
    assert picked_classes(found, [0, 1, 2]).tolist() == [3, 5, 9]
    assert picked_classes(found, [0, 1, 2], "eligible").tolist() == [5, 9, 12]


def test_ignored_pixels_count_as_the_lowest_class() -> None:
    assert picked_classes(candidates(label_of(255, 9), 5), [0]).tolist() == [255]
    assert picked_classes(candidates(label_of(255, 9), 5), [0], "eligible").tolist() == [9]


def test_where_all_are_eligible_the_first_wraps_round() -> None:
    assert picked_classes(candidates(label_of(5, 6, 8), 5), [0, 2]).tolist() == [8, 6]


def test_without_eligible_classes_nothing_is_pasted() -> None:
    found = candidates(label_of(0, 1, 255), 5)
    assert picked_classes(found, draw_picks(found, np.random.default_rng(0))).tolist() == []
