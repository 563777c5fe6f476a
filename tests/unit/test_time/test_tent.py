"""Entropy minimisation: the loss, what is updated, when everything starts anew."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adaptbench.draws import Draws
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Whole
from adaptbench.test_time.decisions import Drawn, cut
from adaptbench.test_time.hard_tent import HardTent, HardTentSettings
from adaptbench.test_time.tent import CropTent, Tent, TentSettings, all_norms, official_norms, softmax_entropy
from adaptbench.test_time.updated import train_named_norms, train_norms

IMAGE = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.GroupNorm(2, 4), nn.Conv2d(4, 3, 1)
    )


def state(made: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in made.named_parameters()}


def changed(before: dict[str, torch.Tensor], made: nn.Module) -> set[str]:
    return {name for name, value in made.named_parameters() if not torch.equal(value, before[name])}


def test_entropy_is_in_nats_and_a_mean_over_pixels() -> None:
    logits = torch.zeros(2, 3, 2, 2)
    assert softmax_entropy(logits).item() == pytest.approx(math.log(3))
    logits[0, 0] = 100  # certain in one of two images
    assert softmax_entropy(logits).item() == pytest.approx(math.log(3) / 2)


def test_each_form_updates_its_norms() -> None:
    for prepare, expected in ((official_norms, {"1"}), (all_norms, {"1", "3"})):
        made = network()
        tent = Tent(made, torch.optim.SGD(prepare(made), 0.1))
        before = state(made)
        tent(IMAGE)
        assert changed(before, made) == {
            f"{owner}.{part}" for owner in expected for part in ("weight", "bias")
        }


def test_frozen_norms_train_again_unless_they_are_chosen_by_name() -> None:
    made = nn.ModuleDict({"norm": nn.BatchNorm2d(2), "bn": nn.BatchNorm2d(2), "head": nn.Conv2d(2, 2, 1)})
    made["bn"].requires_grad_(False)
    assert list(train_norms(made)) == ["norm.weight", "norm.bias", "bn.weight", "bn.bias"]
    made["bn"].requires_grad_(False)
    made["head"].requires_grad_(True)
    assert list(train_named_norms(made)) == ["norm.weight", "norm.bias"]


@pytest.mark.parametrize("choose", [train_norms, train_named_norms])
def test_a_network_without_norms_is_an_error(choose: object) -> None:
    with pytest.raises(UsageError, match="nothing that entropy minimisation could update"):
        choose(nn.Conv2d(3, 3, 1))  # type: ignore[operator]


def test_a_reset_may_fall_between_two_steps_of_an_image() -> None:
    """Three updates, then the start: the second image has one step before it and one after it."""
    made, single = network(), network()
    tent = Tent(made, torch.optim.SGD(official_norms(made), 0.1, momentum=0.9), steps=2, reset_after=3)
    tent(IMAGE)
    tent(IMAGE.flip(3))
    Tent(single, torch.optim.SGD(official_norms(single), 0.1, momentum=0.9))(IMAGE.flip(3))
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), single.parameters(), strict=True))


def test_published_settings_start_every_image_anew() -> None:
    settings = TentSettings(learning_rate=0.1, crop_height=6, crop_width=8)
    assert settings.episodic
    tent = CropTent(network(), settings)
    first, again = (tent(IMAGE, Drawn(Draws(0, 0))).prediction for _ in range(2))
    other = tent(IMAGE, Drawn(Draws(0, 1))).prediction
    assert torch.equal(first, again)
    assert not torch.equal(first, other), "other crops, another step"
    assert first.shape == (1, 3, 8, 12)


def test_hard_labels_are_predicted_before_the_step_and_statistics_stay() -> None:
    made = nn.Sequential()
    made.add_module("bn", nn.BatchNorm2d(3))
    made.add_module("head", nn.Conv2d(3, 3, 1))
    expected = made.eval()(IMAGE).argmax(1)[0]
    before = state(made)
    outcome = HardTent(made, HardTentSettings(learning_rate=1.0), Whole())(IMAGE, (8, 12))
    assert torch.equal(outcome.prediction.long(), expected)
    assert changed(before, made) == {"bn.weight", "bn.bias"}
    assert torch.equal(made.get_buffer("bn.running_mean"), torch.zeros(3))


def test_crops_lie_inside_and_reach_every_border() -> None:
    places = [place for i in range(60) for place in Drawn(Draws(0, i)).places(0, (4, 5), (3, 3))]
    assert {top for top, _ in places} == {0, 1}
    assert {left for _, left in places} == {0, 1, 2}
    assert torch.equal(cut(IMAGE, [(1, 2), (0, 0)], (3, 4))[0], IMAGE[0, :, 1:4, 2:6])


def test_a_crop_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"crops of 9x8 .* has 8x12"):
        Drawn(Draws(0, 0)).places(0, (8, 12), (9, 8))
