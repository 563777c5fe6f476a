"""Encoders of timm under the DAFormer decoder and the DeepLabV2 head; tiny ones are run, large ones on "meta"."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptbench import networks
from adaptbench.adaptation.imagenet_encoder import FrozenEncoder, level_of_stride
from adaptbench.contracts.settings import Settings
from adaptbench.data.normalisation import IMAGENET
from adaptbench.errors import UsageError
from adaptbench.networks.hrda import HRDAOptions, build_hrda
from adaptbench.optim.optimizer import build_optimizer

TINY = ["daformer-timm:test_convnext", "daformer-timm:test_resnet"]


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_logits_are_at_stride_4_for_images_of_any_size(name: str, size: tuple[int, int]) -> None:
    network = networks.build(name, 7).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, *size)).shape == (2, 7, size[0] // 4, size[1] // 4)


def test_maps_finer_than_stride_4_are_left_out() -> None:
    resnet, convnext = (
        networks.spec("daformer-timm:test_resnet"),
        networks.spec("daformer-timm:test_convnext"),
    )
    assert resnet.decode_head["in_channels"] == (32, 48, 192, 96) and resnet.backbone["skip"] == 1
    assert convnext.decode_head["in_channels"] == (24, 32, 48, 64) and convnext.backbone["skip"] == 0
    assert "skip" not in networks.spec("timm:test_resnet").backbone


@pytest.mark.parametrize(
    ("model", "channels"),
    [
        ("resnet50", (256, 512, 1024, 2048)),
        ("convnext_tiny", (96, 192, 384, 768)),
        ("swin_tiny_patch4_window7_224", (96, 192, 384, 768)),
        ("pvt_v2_b0", (32, 64, 160, 256)),
    ],
)
def test_large_encoders(model: str, channels: tuple[int, ...]) -> None:
    """Swin gives its maps with channels last, and checks the size of its images unless told otherwise."""
    name = f"daformer-timm:{model}"
    assert networks.spec(name).decode_head["in_channels"] == channels
    with torch.device("meta"), torch.no_grad():
        network = networks.build(name, 19).eval()
        features = network.get_submodule("backbone")(torch.empty(1, 3, 64, 160))
        assert [tuple(f.shape) for f in features] == [
            (1, c, 16 // 2**level, 40 // 2**level) for level, c in enumerate(channels)
        ]
        assert network(torch.empty(1, 3, 64, 160)).shape == (1, 19, 16, 40)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vfm_uda-timm:test_resnet", "is for plain vision transformers"),
        ("lineartimm:test_vit", "Unknown network 'lineartimm:test_vit'. Did you mean 'linear-timm:test_vit'"),
        ("daformer-timm:inception_v3", "do not cover the image exactly"),
        (
            "daformer-timm:maxvit_tiny_tf_224",
            r"images of any size; timm says: .* divisible by window \(7\)",
        ),
        ("timm:nest_tiny", r"timm says: Input height \(192\) doesn't match model \(224\)"),
        ("daformer-timm:convnext_tinyy", "Unknown timm model 'convnext_tinyy'. Did you mean 'convnext_tiny'"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        networks.spec(name)
    assert len(str(error.value)) < 300


def test_looking_at_an_encoder_draws_nothing() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    networks.spec("daformer-timm:test_efficientnet")
    assert torch.equal(torch.rand(4), expected)


def test_inputs_are_normalised_as_in_the_pretraining() -> None:
    assert networks.spec("daformer-timm:test_convnext").normalisation.mean == (127.5, 127.5, 127.5)
    assert networks.spec("daformer-timm:resnet18").normalisation is IMAGENET


def test_hrda_goes_around_it() -> None:
    options = HRDAOptions(detail_crop=(64, 64))
    network = build_hrda("daformer-timm:test_convnext", 5, options)
    image = torch.randn(1, 3, 128, 128)
    box = network.draw_crop_box((128, 128), np.random.default_rng(0))
    output = network.forward_train(image, box)
    assert output.fused.shape == (1, 5, 32, 32) and output.hr.shape == (1, 5, 16, 16)
    output.fused.square().mean().backward()
    assert all(p.grad is not None for name, p in network.named_parameters() if name.startswith("backbone."))
    with torch.no_grad():
        assert network.eval()(image).shape == (1, 5, 32, 32)


def test_a_frozen_copy_stays_as_it_is() -> None:
    """Batch norm of a convolutional encoder, too."""
    backbone = networks.build("daformer-timm:test_resnet", 5).train().get_submodule("backbone")
    frozen, image = FrozenEncoder(backbone).train(), torch.randn(2, 3, 64, 96)
    first, before = frozen(image), {name: t.clone() for name, t in frozen.state_dict().items()}
    backbone(image)
    assert all(torch.equal(a, b) for a, b in zip(first, frozen(image), strict=True))
    assert all(torch.equal(t, before[name]) for name, t in frozen.state_dict().items())
    assert level_of_stride(image, first, 32) == 3 and level_of_stride(image, first, 8) == 1


def rules(name: str, **changes: Any) -> dict[str, tuple[float, float]]:
    with torch.device("meta"):
        network = networks.build(name, 5)
    groups = build_optimizer(
        network, Settings.model_validate({"learning_rate": 1.0, **changes})
    ).optimizer.param_groups
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    named: dict[str, Tensor] = dict(network.named_parameters())
    assert len(found) == len(named)
    return {name: found[id(p)] for name, p in named.items()}


def test_layer_norms_do_not_decay_whatever_they_are_called() -> None:
    found = rules("daformer-timm:test_convnext")
    for norm in ("stem_1", "stages_1.downsample.0", "stages_0.blocks.0.norm"):
        assert found[f"backbone.model.{norm}.weight"] == found[f"backbone.model.{norm}.bias"] == (1.0, 0.0)
    assert found["backbone.model.stem_0.weight"] == (1.0, 0.01)
    assert rules("daformer-timm:test_convnext", norm_weight_decay=True)["backbone.model.stem_1.weight"] == (
        1.0,
        0.01,
    )


def test_batch_norm_of_an_encoder_decays_as_in_the_papers_resnets() -> None:
    found = rules("daformer-timm:test_resnet")
    assert found["backbone.model.layer1.0.bn1.weight"] == (1.0, 0.01)
    assert found["decode_head.conv_seg.weight"] == (10.0, 0.01)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "twins_svt_small"])
def test_learned_positions_do_not_decay(name: str) -> None:
    found = rules(f"daformer-timm:{name}")
    positions = [rule for key, rule in found.items() if "relative_position_bias" in key or "pos_block" in key]
    assert positions and set(positions) == {(1.0, 0.0)}


def test_nothing_of_the_encoder_belongs_to_the_head() -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = torch.nn.ModuleDict({"conv_head": torch.nn.Conv2d(3, 4, 1)})
            self.decode_head = torch.nn.Conv2d(4, 2, 1)

    network = Network()
    groups = build_optimizer(network, Settings.model_validate({"learning_rate": 1.0})).optimizer.param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(network.backbone["conv_head"].weight)] == 1.0
    assert rates[id(network.decode_head.weight)] == 10.0


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("timm:test_vit", 16),
        ("linear-timm:test_vit", 16),
        ("daformer-timm:test_vit", 4),
        ("linear-timm:test_resnet", 8),
    ],
)
def test_plain_transformers_and_linear_classifiers(name: str, stride: int) -> None:
    network = networks.build(name, 7).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, 64, 96)).shape == (2, 7, 64 // stride, 96 // stride)
        assert network(torch.randn(1, 3, 50, 70)).shape[:2] == (1, 7)


def test_the_decoder_of_vfm_uda_on_any_plain_transformer() -> None:
    network = networks.build("vfm_uda-timm:test_vit", 7).eval()
    encoder = network.get_submodule("backbone")
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 64)).shape == (1, 7, 16, 16)  # 70.4 pixels are 4 patches of 16
        hidden = torch.ones(1, 16, dtype=torch.bool)
        assert encoder(torch.randn(1, 3, 64, 64), hidden)[0].shape == (1, 64, 4, 4)


@pytest.mark.parametrize(
    ("model", "patch", "mean"),
    [
        ("vit_small_patch14_reg4_dinov2", 14, 123.675),
        ("vit_base_patch16_clip_224.openai", 16, 122.77),
        ("vit_base_patch16_siglip_224", 16, 127.5),
        ("vit_small_patch16_dinov3", 16, 123.675),
        ("eva02_tiny_patch14_224", 14, 122.77),
    ],
)
def test_foundation_models(model: str, patch: int, mean: float) -> None:
    name = f"daformer-timm:{model}"
    assert networks.spec(name).normalisation.mean[0] == pytest.approx(mean, abs=0.01)
    with torch.device("meta"), torch.no_grad():
        network = networks.build(name, 19).eval()
        assert network(torch.empty(1, 3, 4 * patch, 6 * patch)).shape == (1, 19, 16, 24)
