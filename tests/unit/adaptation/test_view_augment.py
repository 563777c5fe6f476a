"""Views of images; the recorded ones are in tests/conformance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptbench.adaptation.color_jitter import JitterStrength
from adaptbench.adaptation.view_augment import Colours, View, ViewKind, viewed
from adaptbench.data.normalisation import CAFFE, IMAGENET, Normalisation


def images(values: Normalisation, number: int = 2) -> torch.Tensor:
    levels = torch.randint(0, 256, (number, 3, 24, 32), generator=torch.Generator().manual_seed(0)).float()
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (values.mean, values.std))
    return (levels - mean) / std


def test_an_image_without_a_view_keeps_every_bit() -> None:
    image = images(IMAGENET)
    shown = viewed(image, [View(), View(sigma=1.0)], IMAGENET)
    assert torch.equal(shown[0], image[0])
    assert not torch.allclose(shown[1], image[1], atol=0.1)


@pytest.mark.parametrize("values", [IMAGENET, CAFFE])
def test_brightness_blends_with_black(values: Normalisation) -> None:
    image = images(values)
    colours = Colours((0.5, 1.0, 1.0, 0.0), (0, 1, 2, 3))
    shown = viewed(image, [View(colours)] * 2, values)
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (values.mean, values.std))
    assert torch.allclose(shown * std + mean, (image * std + mean) / 2, atol=0.02)


def test_the_order_of_the_steps_counts() -> None:
    image, amounts = images(IMAGENET), (1.4, 0.6, 1.4, 0.1)
    one, other = (
        viewed(image, [View(Colours(amounts, order))] * 2, IMAGENET) for order in ((0, 1, 2, 3), (3, 2, 1, 0))
    )
    assert not torch.allclose(one, other, atol=1e-3)


def test_shares_of_images_are_jittered_and_blurred() -> None:
    kind = ViewKind(JitterStrength.uniform(0.2), jittered=0.8, blurred=0.5, widths=(0.3, 0.6))
    drawn = [kind.draw(np.random.default_rng(seed)) for seed in range(400)]
    colours = [one.colours for one in drawn if one.colours is not None]
    sigmas = [one.sigma for one in drawn if one.sigma is not None]
    assert 0.72 < len(colours) / len(drawn) < 0.88
    assert 0.42 < len(sigmas) / len(drawn) < 0.58
    assert all(0.3 <= sigma <= 0.6 for sigma in sigmas)
    assert all(0.8 <= factor <= 1.2 for one in colours for factor in one.amounts[:3])
    assert all(abs(one.amounts[3]) <= 0.2 for one in colours)
    assert {one.order[0] for one in colours} == {0, 1, 2, 3}


def test_a_kind_without_shares_changes_nothing() -> None:
    kind = ViewKind(JitterStrength.uniform(0.2), jittered=0.0)
    assert kind.draw(np.random.default_rng(0)) == View()
