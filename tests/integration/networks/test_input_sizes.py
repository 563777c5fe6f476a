"""Images of any size: what is padded, and that nothing changes where nothing has to be."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.errors import UsageError
from adaptbench.networks.hrda import HRDAOptions, HRDASegmentor, build_hrda
from adaptbench.networks.inference import (
    Averaged,
    Mode,
    Sliding,
    Whole,
    predict,
    probability,
    resize,
    segment,
    segment_confidently,
    segment_to,
    taken_size,
)
from adaptbench.networks.smallest_side import ENOUGH, smallest_side

CLASSES = 3
SIDES = st.integers(1, 70)
HRDA: dict[str, tuple[str, dict[str, Any]]] = {
    "as published": ("daformer-mini", {}),
    "adjacent": ("daformer-mini", {"detail_windows": "adjacent"}),
    "whole": ("daformer-mini", {"detail_windows": "whole"}),
    "fixed": ("daformer-mini", {"attention": "fixed", "context_scale": 0.25}),
    "half detail": ("daformer-mini", {"detail_scale": 0.5}),
    "deeplab": ("deeplabv2-mini", {}),
}
#: Sides up to which sizes are tried: several windows fit in, and the context of that size is enough for the network.
LARGEST = {"fixed": 128, "deeplab": 64}
MODES: list[Mode] = [
    Whole(),
    Whole(aligned=True),
    Whole(multiple=8),
    Sliding((48, 48), (24, 24)),
    Averaged((0.25, 1.0), flip=True),
]


@cache
def hrda(name: str) -> HRDASegmentor:
    network, changes = HRDA[name]
    torch.manual_seed(0)
    return build_hrda(network, CLASSES, HRDAOptions(**{"detail_crop": (32, 32), **changes})).eval()


@cache
def one_scale(name: str) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(name, CLASSES).eval()


def image(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height * 100 + width))


@cache
@torch.no_grad()
def runs(network: nn.Module, size: tuple[int, int]) -> bool:
    """Whether a network takes an image as it is."""
    try:
        network(image(*size))
    except (RuntimeError, ValueError):
        return False
    return True


def naively_padded(seen: Tensor, size: tuple[int, int]) -> Tensor:
    """Every pixel beyond the image is the nearest pixel of it."""
    pixels, padded = seen.numpy(), np.empty((1, 3, *size), np.float32)
    for row in range(size[0]):
        for column in range(size[1]):
            padded[:, :, row, column] = pixels[
                :, :, min(row, seen.shape[2] - 1), min(column, seen.shape[3] - 1)
            ]
    return torch.from_numpy(padded)


@pytest.mark.parametrize("name", HRDA)
def test_hrda_is_padded_exactly_where_it_does_not_run_and_by_as_little_as_possible(name: str) -> None:
    network = hrda(name)
    last = other = LARGEST.get(name, 80)
    good = {side for side in range(1, last + 1) if runs(network, (side, other))}
    for side in range(1, last + 1):
        assert network.taken_size((side, other)) == (min(s for s in good if s >= side), other), side
        assert network.taken_size((other, side))[1] == network.taken_size((side, other))[0]


@pytest.mark.parametrize(
    "name", ["daformer-mini", "segformer-mini", "deeplabv2-mini", "deeplabv2-multi-mini"]
)
def test_other_networks_are_padded_only_below_their_smallest_size(name: str) -> None:
    network = one_scale(name)
    for side in (*range(1, 40), 63, 64, 65, 70):
        taken = taken_size(network, (side, 70))
        assert (taken == (side, 70)) == runs(network, (side, 70)), side
        assert runs(network, taken) and taken[0] >= side


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.sampled_from(sorted(HRDA)))
def test_the_padding_is_repeated_pixels_and_is_cut_off(height: int, width: int, name: str) -> None:
    network, seen = hrda(name), image(height, width)
    size = network.taken_size((height, width))
    with torch.no_grad():
        logits = network(naively_padded(seen, size))
        expected = resize(logits, size)[..., :height, :width]
        if size == (height, width):
            expected = resize(network(seen), size)
    assert torch.equal(predict(network, seen, Whole()), expected)


@settings(max_examples=25, deadline=None)
@given(SIDES, SIDES, st.sampled_from(MODES), st.sampled_from(["hrda", "daformer-mini", "deeplabv2-mini"]))
def test_every_size_is_segmented_by_every_mode(height: int, width: int, mode: Mode, name: str) -> None:
    network = hrda("as published") if name == "hrda" else one_scale(name)
    seen, sizes = image(height, width), [(height, width), (2 * height + 1, 3)]
    for size, found in zip(sizes, segment_to(network, seen, mode, sizes), strict=True):
        assert found.shape == size and int(found.max()) < CLASSES
        assert torch.equal(found, segment(network, seen, mode, size))
    ids, confidence = segment_confidently(network, seen, mode, sizes[1])
    assert ids.shape == confidence.shape == sizes[1]
    assert bool(confidence.isfinite().all())
    shares = probability(network, seen, mode, sizes[0])
    assert bool(shares.isfinite().all()) and shares.shape == (CLASSES, height, width)


@pytest.mark.parametrize("size", [(64, 96), (128, 64), (57 + 8, 257), (63, 64)])
def test_nothing_changes_where_nothing_is_missing(size: tuple[int, int]) -> None:
    for network in (hrda("whole"), one_scale("daformer-mini"), one_scale("deeplabv2-mini")):
        if not runs(network, size):
            continue
        with torch.no_grad():
            expected = resize(network(image(*size)), size)
        assert torch.equal(predict(network, image(*size), Whole()), expected)


def test_windows_of_whole_images_stay_as_they_were() -> None:
    """Sides that are no multiples are seen in windows, as the published checkpoints' were, and not padded."""
    network, seen = hrda("as published"), image(67, 101)
    windows = [(0, 64, 0, 96), (0, 64, 5, 101), (3, 67, 0, 96), (3, 67, 5, 101)]
    total, count = torch.zeros(1, CLASSES, 67, 101), torch.zeros(67, 101)
    with torch.no_grad():
        for top, bottom, left, right in windows:
            logits = network(seen[:, :, top:bottom, left:right])
            total[:, :, top:bottom, left:right] += resize(logits, (64, 96))
            count[top:bottom, left:right] += 1
    assert torch.equal(predict(network, seen, Whole(multiple=8)), total / count)


def test_detail_windows_without_a_grid_are_refused() -> None:
    network = build_hrda("daformer-mini", CLASSES, HRDAOptions(detail_crop=(50, 50))).eval()
    with pytest.raises(
        UsageError, match=r"100 pixels in detail windows of 50: .* multiple of 8 .* at least 32"
    ):
        network.taken_size((100, 100))


def test_trying_changes_nothing_of_the_network() -> None:
    network = networks.build("daformer-mini", CLASSES).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert smallest_side(network) == 29
    assert smallest_side(network, at_most=ENOUGH) == 1
    assert all(module.training for module in network.modules())
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
