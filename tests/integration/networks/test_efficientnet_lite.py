"""The networks of profiles mini and small: an encoder with ImageNet weights that come as a dependency."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.errors import WeightsError
from adaptbench.networks.efficientnet_lite import NETWORKS
from adaptbench.networks.frozen_norm import freeze_norms
from adaptbench.networks.pretrained.foreign import read_tensors
from adaptbench.networks.timm_backbone import TimmEncoder

MODEL = "tf_efficientnet_lite0"


def weights() -> dict[str, Tensor]:
    found = networks.start_of("daformer-lite0", "default")
    assert found is not None and found.data == "ImageNet-1k"
    return read_tensors(found.path)


def whole_model() -> nn.Module:
    """Timm's model with the file's tensors, which come in its order."""
    model = timm.create_model(MODEL)
    model.load_state_dict(dict(zip(model.state_dict(), weights().values(), strict=True)))
    return model.eval()


@pytest.mark.parametrize("name", ["daformer-lite0", "deeplabv2-lite0", "deeplabv2-multi-lite0"])
def test_they_start_from_imagenet(name: str) -> None:
    """Maps up to stride 8, before anything is dilated, are those of timm's model."""
    built = networks.build(name, 5, "default").get_submodule("backbone").eval()
    assert isinstance(built, TimmEncoder)
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        given = built(image)
        expected = whole_model().forward_intermediates(image, indices=[0, 1, 2], intermediates_only=True)
    for ours, theirs in zip(given, expected[built.skip :], strict=False):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_networks_of_both_families_are_about_equally_large() -> None:
    sizes = {n.name: sum(p.numel() for p in networks.build(n.name, 19).parameters()) for n in NETWORKS}
    usual = [sizes["daformer-lite0"], sizes["deeplabv2-lite0"]]
    assert max(usual) / min(usual) < 1.25


def test_logits_have_the_stride_that_is_stated() -> None:
    for network in NETWORKS:
        stride = network.output_stride or 4
        logits = networks.build(network.name, 5)(torch.zeros(2, 3, 64, 96))
        assert logits.shape == (2, 5, 64 // stride, 96 // stride), network.name


@pytest.mark.parametrize(("name", "kept"), [("daformer-lite0", True), ("deeplabv2-lite0", False)])
def test_statistics_of_imagenet_are_kept_where_the_published_encoder_has_none(name: str, kept: bool) -> None:
    encoder = networks.build(name, 5, "default").get_submodule("backbone").train()
    norms = [part for part in encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]  # type: ignore[union-attr]
    encoder(torch.rand(2, 3, 64, 64))
    pairs = zip(norms, before, strict=True)
    same = [torch.equal(norm.running_mean, mean) for norm, mean in pairs]  # type: ignore[arg-type]
    assert same == [kept] * len(norms) and norms
    assert all(parameter.requires_grad for norm in norms for parameter in norm.parameters())


@pytest.mark.parametrize(
    ("ending", "daformer", "deeplabv2"),
    [("lite0", (1, 2, 3, 5), (2, 3)), ("lite0-half", (1, 3, 6, 9), (3, 6))],
)
def test_dilations_are_the_published_ones_at_the_scale(
    ending: str, daformer: tuple[int, ...], deeplabv2: tuple[int, ...]
) -> None:
    heads = {name: networks.spec(f"{name}-{ending}").decode_head for name in ("daformer", "deeplabv2")}
    assert {name: head["dilations"] for name, head in heads.items()} == {
        "daformer": daformer,
        "deeplabv2": deeplabv2,
    }


def test_stages_behind_the_last_map_are_not_built() -> None:
    encoder = TimmEncoder(MODEL, skip=1, keep=4)
    assert len(encoder.model.blocks) == 5
    assert [f.shape[1] for f in encoder(torch.zeros(1, 3, 64, 64))] == [24, 40, 112]


def test_a_file_of_another_efficientnet_is_refused(tmp_path: Path) -> None:
    wrong = {name: tensor[:1] if tensor.dim() else tensor for name, tensor in weights().items()}
    save_file({name: tensor.contiguous() for name, tensor in wrong.items()}, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit the encoder timm:tf_efficientnet_lite0: .*shape"):
        networks.build("daformer-lite0", 5, str(tmp_path / "wrong.safetensors"))
    del wrong["_blocks.3._bn1.weight"]
    wrong["_blocks.99._bn1.weight"] = torch.zeros(1)
    save_file({name: tensor.contiguous() for name, tensor in wrong.items()}, tmp_path / "names.safetensors")
    with pytest.raises(WeightsError, match=r"lacks 1 .*blocks\.2\.0\.bn2\.weight.*blocks\.99\.bn1\.weight"):
        networks.build("daformer-lite0", 5, str(tmp_path / "names.safetensors"))


def test_frozen_norms_keep_activations_and_the_epsilon_of_the_encoder() -> None:
    """Channels whose variance is 0 would give no number without it."""
    encoder = networks.build("deeplabv2-lite0", 5, "default").get_submodule("backbone").eval()
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = encoder(image)
        freeze_norms(encoder)
        frozen = encoder.train()(image)
    for ours, theirs in zip(frozen, expected, strict=True):
        assert torch.equal(ours, theirs)
    norms = [part for part in encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms and not any(p.requires_grad for norm in norms for p in norm.parameters())
