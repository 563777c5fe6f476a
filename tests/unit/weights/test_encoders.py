"""ImageNet files in every published naming give the same features; what does not fit is refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from adaptbench.errors import WeightsError
from adaptbench.networks import MODELS
from adaptbench.networks.mit import MiT
from adaptbench.networks.timm_encoder import TimmEncoder
from adaptbench.weights.encoders import encoder_state

FILE = Path("weights.pth")
Tensors = dict[str, Tensor]
_TINY: Mapping[str, Any] = {"channels": (8, 16, 20, 32), "depths": (1, 2, 1, 1)}


def mit(seed: int = 0) -> MiT:
    torch.manual_seed(seed)
    return MiT(**_TINY).eval()


def resnet_v1c(depth: int = 18, **changes: Any) -> nn.Module:
    network: nn.Module = MODELS.build(
        {"type": "ResNetV1c", "depth": depth, "norm_cfg": {"type": "BN"}, **changes}
    )
    return network.eval()


def shaken(network: nn.Module) -> nn.Module:
    """A network whose every tensor differs from its neighbours', batch norm statistics included."""
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.1 + 0.02)
    return network.eval()


def named(tensors: Mapping[str, Tensor], *rules: tuple[str, str]) -> Tensors:
    """``tensors`` under other names: every rule is applied to every name."""

    def name(text: str) -> str:
        for pattern, replacement in rules:
            text = re.sub(pattern, replacement, text)
        return text

    return {name(key): tensor for key, tensor in tensors.items()}


def counted_from_0(tensors: Mapping[str, Tensor]) -> Tensors:
    return {
        re.sub(r"(patch_embed|block|norm)([1-4])(?=\.)(?<!\.norm[12])", lambda m: f"{m[1]}<{int(m[2]) - 1}>", k): v
        for k, v in tensors.items()
    }


def as_mmsegmentation(tensors: Tensors) -> Tensors:
    """One matrix for queries, keys and values, and 1x1 convolutions for linear layers."""
    found: Tensors = {}
    for name, tensor in counted_from_0(tensors).items():
        if ".attn.q." in name:
            both = torch.cat([tensor, counted_from_0(tensors)[name.replace(".q.", ".kv.")]])
            found[name.replace("attn.q.", "attn.attn.in_proj_")] = both
        elif ".attn.kv." not in name:
            found[name] = tensor[..., None, None] if re.search(r"mlp\.fc\d\.weight", name) else tensor
    return named(
        found,
        (r"^patch_embed<(\d)>\.proj", r"layers.\1.0.projection"),
        (r"^patch_embed<(\d)>", r"layers.\1.0"),
        (r"^block<(\d)>", r"layers.\1.1"),
        (r"^norm<(\d)>", r"layers.\1.2"),
        (r"attn\.proj", "attn.attn.out_proj"),
        (r"mlp\.fc1", "ffn.layers.0"),
        (r"mlp\.dwconv\.dwconv", "ffn.layers.1"),
        (r"mlp\.fc2", "ffn.layers.4"),
    )


def as_transformers(tensors: Tensors) -> Tensors:
    """A matrix each for queries, keys and values."""
    found: Tensors = {}
    for name, tensor in counted_from_0(tensors).items():
        if ".attn.kv." in name:
            key, value = tensor.chunk(2)
            found |= {name.replace("attn.kv", f"attention.self.{k}"): v for k, v in (("key", key), ("value", value))}
        else:
            found[name] = tensor
    return named(
        found,
        (r"patch_embed<(\d)>\.norm", r"patch_embeddings.\1.layer_norm"),
        (r"patch_embed<(\d)>", r"patch_embeddings.\1"),
        (r"^norm<(\d)>", r"layer_norm.\1"),
        (r"block<(\d)>", r"block.\1"),
        (r"attn\.q", "attention.self.query"),
        (r"attn\.proj", "attention.output.dense"),
        (r"attn\.norm", "attention.self.layer_norm"),
        (r"attn\.sr", "attention.self.sr"),
        (r"\.norm([12])\.", r".layer_norm_\1."),
        (r"mlp\.fc", "mlp.dense"),
        (r"^", "segformer.encoder."),
    )


def features(network: nn.Module, size: int = 64) -> list[Tensor]:
    torch.manual_seed(5)
    with torch.no_grad():
        return list(network(torch.randn(1, 3, size, size)))


def check_equal(network: nn.Module, other: nn.Module) -> None:
    for mine, theirs in zip(features(network), features(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


HEADS = {
    "official": ("head", lambda tensors: tensors),
    "mmsegmentation": ("head", as_mmsegmentation),
    "transformers": ("classifier", as_transformers),
}


@pytest.mark.parametrize("naming", HEADS)
def test_mit_in_every_naming(naming: str) -> None:
    trained, fresh = mit(1), mit(2)
    head, convert = HEADS[naming]
    file = {**convert(dict(trained.state_dict())), f"{head}.weight": torch.ones(9, 32), f"{head}.bias": torch.ones(9)}
    fresh.load_state_dict(encoder_state(file, fresh, FILE))
    assert all(torch.equal(a, b) for a, b in zip(features(fresh), features(trained), strict=True))


def test_the_converted_names_are_those_of_mmsegmentation() -> None:
    """Its own network computes the same from the file, so that the test above tests the true format."""
    trained = mit(1)
    theirs = MODELS.build(
        {
            "type": "MixVisionTransformer",
            "embed_dims": 4,
            "num_heads": (2, 4, 5, 8),
            "num_layers": (1, 2, 1, 1),
            "sr_ratios": (8, 4, 2, 1),
        }
    )
    mine = MiT(channels=(8, 16, 20, 32), depths=(1, 2, 1, 1), heads=(2, 4, 5, 8)).eval()
    mine.load_state_dict(trained.state_dict())
    theirs.load_state_dict(as_mmsegmentation(dict(trained.state_dict())), strict=True)
    check_equal(mine, theirs.eval())
