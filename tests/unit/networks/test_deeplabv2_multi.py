"""The network of the adversarial family: full-size names and shapes, its Caffe weights, two outputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adaptbench import networks
from adaptbench.data.normalisation import CAFFE, IMAGENET
from adaptbench.errors import WeightsError
from adaptbench.networks import start_weights
from adaptbench.networks.deeplabv2_multi import CaffeResNet


def small() -> CaffeResNet:
    return CaffeResNet(4, (2, 3, 4, 5), (1, 2, 1, 2))


def test_full_size() -> None:
    with torch.device("meta"), torch.no_grad():
        network = networks.build("deeplabv2-multi-r101", 19)
        outputs = network.outputs(torch.randn(1, 3, 720, 1280))
    assert sum(p.numel() for p in network.parameters()) == 44_601_560  # as recorded from the original
    assert {name: tuple(logits.shape) for name, logits in outputs.items()} == {
        "aux": (1, 19, 91, 161),
        "main": (1, 19, 91, 161),
    }
    convolutions = {m for m in network.backbone.modules() if isinstance(m, nn.Conv2d)}
    assert all(
        m.padding == (m.dilation[0] * (m.kernel_size[0] // 2),) * 2
        for m in convolutions - {network.backbone.conv1}
    )
    assert networks.spec("deeplabv2-multi-r101").normalisation is CAFFE
    assert networks.spec("deeplabv2-r101").normalisation is IMAGENET


def test_norms_are_not_trained_but_follow_the_batch() -> None:
    encoder = small().train()
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained == {
        name for name in dict(encoder.named_parameters()) if re.search(r"conv\d|downsample\.0", name)
    }
    before = encoder.bn1.running_mean.clone()
    encoder(torch.randn(1, 3, 33, 47))
    assert not torch.equal(encoder.bn1.running_mean, before)


def test_networks_with_one_output_have_a_main_one() -> None:
    network = networks.build("deeplabv2-mini", 5).eval()
    image = torch.randn(1, 3, 32, 48)
    outputs = network.outputs(image)
    assert list(outputs) == ["main"]
    assert torch.equal(outputs["main"], network(image))


def test_the_main_output_is_what_is_scored() -> None:
    network = networks.build("deeplabv2-multi-mini", 5).eval()
    image = torch.randn(1, 3, 32, 48)
    outputs = network.outputs(image)
    assert torch.equal(outputs["main"], network(image))
    assert not torch.equal(outputs["main"], outputs["aux"])


def test_caffe_weights_of_the_release_fit(tmp_path: Path) -> None:
    """A file with its prefix, DeepLab's classifier, and without counters of batches."""
    trained, fresh = small(), small()
    state = {
        f"Scale.{n}": t for n, t in trained.state_dict().items() if not n.endswith("num_batches_tracked")
    }
    for branch in range(4):
        state[f"Scale.layer5.conv2d_list.{branch}.weight"] = torch.zeros(21, 20, 3, 3)
        state[f"Scale.layer5.conv2d_list.{branch}.bias"] = torch.zeros(21)
    save_file(state, tmp_path / "caffe.safetensors")
    start_weights.load(start_weights.Found("caffe", tmp_path / "caffe.safetensors", ""), fresh)
    assert all(torch.equal(tensor, fresh.state_dict()[name]) for name, tensor in trained.state_dict().items())
    save_file({**state, "Scale.layer6.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(WeightsError, match=r"layer6\.weight"):
        start_weights.load(start_weights.Found("more", tmp_path / "more.safetensors", ""), fresh)
