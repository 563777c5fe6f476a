"""Checkpoints of the adversarial family, and the ImageNet weights of VGG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.contracts.profiles import profile
from adaptbench.errors import WeightsError
from adaptbench.execution.given import imported
from adaptbench.networks.deeplabv2_multi import CaffeResNet, two_classifiers
from adaptbench.networks.dilated_vgg import DilatedVGG
from adaptbench.networks.pretrained.adversarial import ENCODER_AND_CLASSIFIER, TWO_CLASSIFIERS
from adaptbench.networks.pretrained.encoders import encoder_state
from adaptbench.networks.pretrained.published import published_state
from methods.fada import FADA

FILE = Path("model_iter018000.pth")


def renamed(tensors: dict[str, Tensor], *rules: tuple[str, str]) -> dict[str, Tensor]:
    for pattern, replacement in rules:
        tensors = {re.sub(pattern, replacement, name): tensor for name, tensor in tensors.items()}
    return tensors


def two_outputs() -> nn.Module:
    head = MODELS.build({**two_classifiers(aux=16, main=20), "num_classes": 5})
    return networks.Segmentor(CaffeResNet(4, (2, 3, 4, 5), (1, 2, 1, 2)), head)


BRANCHES = (r"aspp_modules\.(\d)\.conv", r"conv2d_list.\1")


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_encoder_and_classifier_are_parts_of_the_file(wrapper: str) -> None:
    network, fresh = (networks.build("deeplabv2-mini", 5) for _ in range(2))
    state = renamed(network.state_dict(), BRANCHES)
    encoder = {wrapper + name: t for name, t in state.items() if name.startswith("backbone.")}
    classifier = renamed(
        {name: t for name, t in state.items() if name.startswith("decode_head.")},
        (r"^decode_head\.", wrapper),
    )
    content = {
        "feature_extractor": encoder,
        "classifier": classifier,
        "model_D": {"D.0.weight": torch.ones(3)},
    }
    found = published_state(content, ENCODER_AND_CLASSIFIER, "student", fresh.state_dict(), FILE)
    fresh.load_state_dict(found)
    assert_equal(fresh, network)


def test_two_classifiers_are_layers_of_the_network() -> None:
    network, fresh = (two_outputs() for _ in range(2))
    rules = ((r"^decode_head\.aux", "layer5"), (r"^decode_head\.main", "layer6"), (r"^backbone\.", ""))
    content = renamed(network.state_dict(), BRANCHES, *rules)
    found = published_state(content, TWO_CLASSIFIERS, "student", fresh.state_dict(), FILE)
    fresh.load_state_dict(found)
    assert_equal(fresh, network)


def test_a_file_of_another_network_is_refused() -> None:
    network = networks.build("deeplabv2-mini", 5)
    with pytest.raises(WeightsError, match=r"model_iter018000\.pth does not fit .* it lacks"):
        published_state(
            {"feature_extractor": {"backbone.0.weight": torch.ones(2)}, "classifier": {"a": torch.ones(1)}},
            ENCODER_AND_CLASSIFIER,
            "student",
            network.state_dict(),
            FILE,
        )


def test_an_import_is_scored_as_the_last_training_sees_images() -> None:
    stage = imported.stage_of(FADA, "deeplabv2-mini", {}, profile("mini"))
    assert isinstance(stage.settings, FADA.Settings)
    assert not stage.settings.frozen_norm
    assert stage.settings.resolution == 2.0
    assert stage.settings.pretraining == "none"
    aligned = {"distillation_frozen_norm": True, "distillation_resolution": 1.0}
    settings = imported.stage_of(FADA, "deeplabv2-mini", aligned, profile("mini")).settings
    assert isinstance(settings, FADA.Settings)
    assert settings.frozen_norm
    assert settings.resolution == 1.0


def vgg16() -> dict[str, Tensor]:
    """Full-size names, tiny tensors: the number of the layer in every value."""
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    return {
        f"{layer}.{part}": torch.tensor(float(index))
        for index, layer in enumerate(
            [*(f"features.{n}" for n in convolutions), "classifier.0", "classifier.3", "classifier.6"]
        )
        for part in ("weight", "bias")
    }


def full_size(tensors: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    shapes = [p.shape for p in encoder.parameters()]
    return {
        name: tensor.expand(shapes[i]) if name.startswith("features") else tensor
        for i, (name, tensor) in enumerate(tensors.items())
    }


def test_vgg_takes_its_convolutions_in_order_and_keeps_the_new_ones() -> None:
    with torch.device("meta"):
        encoder = DilatedVGG()
    state = encoder_state(full_size(vgg16(), encoder), encoder, FILE)
    assert list(state) == list(encoder.state_dict())
    convolutions = [tensor for name, tensor in state.items() if name.endswith("weight")]
    assert [float(t.flatten()[0]) for t in convolutions[:13]] == list(range(13))
    assert all(tensor.is_meta for tensor in convolutions[13:])


def test_a_file_of_another_vgg_is_refused() -> None:
    with torch.device("meta"):
        encoder = DilatedVGG()
    tensors = full_size(vgg16(), encoder)
    surplus = {**tensors, "features.31.weight": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"VGG-16.*features\.31\.weight"):
        encoder_state(surplus, encoder, FILE)
    del tensors["features.24.bias"]
    with pytest.raises(WeightsError, match=r"lacks 1 of 26 tensors \(features\.24\.bias\)"):
        encoder_state(tensors, encoder, FILE)


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
