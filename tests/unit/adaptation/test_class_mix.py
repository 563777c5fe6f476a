"""Class mixing against a pixel-by-pixel version."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptbench.adaptation.class_mix import candidate_classes, class_mask, class_mix, draw_classes, mix


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 4, 6), (3, 7, 5)])
def test_equals_the_naive_version(shape: tuple[int, int, int]) -> None:
    batch, height, width = shape
    generator = torch.Generator().manual_seed(height)
    source, target = torch.randn(2, batch, 3, height, width, generator=generator)
    values = torch.tensor([0, 3, 8, 255])
    label = values[torch.randint(4, (batch, 1, height, width), generator=generator)]
    pseudo = torch.randint(19, (batch, height, width), generator=generator)
    weight = torch.rand(batch, height, width, generator=generator)
    classes = draw_classes(label, np.random.default_rng(0))
    mixed = class_mix(source, label, target, pseudo, weight, classes)
    for b, y, x in np.ndindex(shape):
        pasted = int(label[b, 0, y, x]) in classes[b]
        assert bool(mixed.mask[b, 0, y, x]) == pasted
        assert torch.equal(mixed.image[b, :, y, x], (source if pasted else target)[b, :, y, x])
        assert mixed.label[b, 0, y, x] == (label[b, 0, y, x] if pasted else pseudo[b, y, x])
        assert mixed.weight[b, y, x] == (1.0 if pasted else weight[b, y, x])
    assert mixed.label.dtype == torch.int64
    assert mixed.weight.dtype == torch.float32


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=24), st.integers(1, 3), st.integers(0, 9))
def test_drawn_classes(values: list[int], batch: int, seed: int) -> None:
    label = torch.tensor(values).view(1, 1, 1, -1).repeat(batch, 1, 1, 1)
    drawn = draw_classes(label, np.random.default_rng(seed))
    distinct = set(values)
    assert len(drawn) == batch
    for ids in drawn:
        assert ids.dtype == np.int64
        assert len(ids) == len(set(ids.tolist())) == -(-len(distinct) // 2)
        assert set(ids.tolist()) <= distinct


def test_candidates_are_those_of_the_whole_batch() -> None:
    label = torch.tensor([5, 255, 5, 2], dtype=torch.uint8).view(2, 1, 1, 2)
    assert candidate_classes(label).tolist() == [2, 5, 255]


def test_draws_differ_between_samples_and_repeat_with_the_seed() -> None:
    label = torch.arange(19).view(1, 1, 1, -1).repeat(4, 1, 1, 1)
    first, again = (draw_classes(label, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({tuple(sorted(ids)) for ids in first}) > 1


def test_a_class_that_is_absent_gives_an_empty_mask() -> None:
    label = torch.zeros(1, 1, 2, 2, dtype=torch.int64)
    assert not class_mask(label, [np.array([7])]).any()
    assert not class_mask(label, [np.array([], dtype=np.int64)]).any()


def test_mixing_does_not_spread_broken_pixels() -> None:
    mask = torch.tensor([[[[True, False]]]])
    mixed = mix(mask, torch.tensor([[[[1.0, torch.nan]]]]), torch.tensor([[[[torch.inf, 2.0]]]]))
    assert mixed.flatten().tolist() == [1.0, 2.0]


def test_errors() -> None:
    label = torch.zeros(2, 1, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="2 choices"):
        class_mask(label, [np.array([1])])
    with pytest.raises(ValueError, match=r"0\.\.255"):
        candidate_classes(label - 1)
    with pytest.raises(ValueError, match=r"0\.\.255, got 300"):
        candidate_classes(label + 300)
    with pytest.raises(ValueError, match="differ in shape"):
        mix(torch.ones(1, 1, 2, 2), torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 3))
