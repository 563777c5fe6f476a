"""LoRA in transformers of every kind: what is trained, what is computed, and what is refused."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
import torch
from torch import nn

from adaptbench import networks
from adaptbench.errors import UsageError
from adaptbench.networks.adapters import lora
from adaptbench.networks.adapters.choice import Adapter
from adaptbench.networks.adapters.lora import LoRAOptions
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.optim.recipe import BlockLayer

_IMAGE = torch.rand(1, 3, 64, 64)


def adapted(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(name, 4, adapter=Adapter("lora", lora=LoRAOptions(**options))).eval()


def plain(name: str) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(name, 4).eval()


@pytest.mark.parametrize("name", ["daformer-vit-mini", "daformer-mini"])
def test_nothing_changes_at_the_start_and_products_alone_are_trained(name: str) -> None:
    network = adapted(name, rank=2, alpha=2)
    with torch.no_grad():
        torch.testing.assert_close(network(_IMAGE), plain(name)(_IMAGE), rtol=1e-5, atol=1e-5)
    encoder = network.get_submodule("backbone")
    assert {n.split(".")[-3] for n, p in encoder.named_parameters() if p.requires_grad} == {
        "lora_A",
        "lora_B",
    }
    assert all(p.requires_grad for p in network.get_submodule("decode_head").parameters())


@pytest.mark.parametrize("name", ["daformer-vit-mini", "daformer-mini"])
def test_every_product_has_an_effect(name: str) -> None:
    network = adapted(name, rank=2, alpha=2).train()
    network(_IMAGE).square().sum().backward()
    factors = [p for n, p in network.named_parameters() if ".lora_B." in n]
    blocks = {"daformer-vit-mini": 4, "daformer-mini": 8}[name]
    assert len(factors) == blocks * 6
    assert all(factor.grad is not None and bool(factor.grad.any()) for factor in factors)


def test_a_layer_is_its_matrix_and_the_scaled_product() -> None:
    network = adapted("daformer-vit-mini", rank=2, alpha=6, targets=("q", "v"))
    layer = network.get_submodule("backbone.model.blocks.1.attn.qkv.q")
    down, up = (layer.get_submodule(f"{part}.default").weight for part in ("lora_A", "lora_B"))
    nn.init.normal_(up)
    features = torch.randn(5, 96)
    base = layer.get_submodule("base_layer")
    expected = features @ (base.weight + 6 / 2 * up @ down).T + base.bias
    torch.testing.assert_close(layer(features), expected)
    assert not hasattr(network.get_submodule("backbone.model.blocks.1.attn.qkv.k"), "lora_A")


def test_as_many_numbers_as_by_hand() -> None:
    """Rank times rows and columns; ViT-L has 24 blocks of width 1024, with 4096 in between."""
    with torch.device("meta"):
        encoder = PlainViT("vit_large_patch14_dinov2")
        lora.wrap(encoder, LoRAOptions())
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert trained == 24 * 16 * (4 * (1024 + 1024) + 2 * (1024 + 4096))


def test_a_copy_has_products_of_its_own() -> None:
    student = adapted("daformer-mini", rank=2, alpha=2)
    teacher = copy.deepcopy(student)
    before = teacher(_IMAGE)
    for name, parameter in student.named_parameters():
        if ".lora_B." in name:
            nn.init.ones_(parameter)
    assert torch.equal(teacher(_IMAGE), before)
    assert not torch.equal(student(_IMAGE), before)


@pytest.mark.parametrize(
    ("model", "options", "called"),
    [
        ("vit_small_patch16_dinov3", {}, {"q", "k", "v", "proj", "fc1", "fc2"}),
        ("eva02_tiny_patch14_224", {"qkv_fused": False}, {"q_proj", "k_proj", "v_proj", "proj"}),
        ("vit_small_patch14_reg4_dinov2", {}, {"q", "k", "v", "proj", "fc1", "fc2"}),
    ],
)
def test_transformers_with_other_names(model: str, options: dict[str, Any], called: set[str]) -> None:
    encoder = PlainViT(model, {"depth": 1, **options})
    names = lora.wrap(encoder, LoRAOptions(rank=2, alpha=2))
    assert called <= {name.rpartition(".")[2] for name in names}
    encoder(torch.rand(1, 3, 32, 32))[0].square().sum().backward()
    for name in names:
        gradient = encoder.get_submodule(f"{name}.lora_B.default").weight.grad
        assert gradient is not None and bool(gradient.any()), name


def test_refused_where_the_attention_reads_its_layer_itself() -> None:
    encoder = PlainViT("eva02_tiny_patch14_224", {"depth": 1})
    with pytest.raises(UsageError, match=r"blocks\.0\.attn\.qkv of this encoder is not called"):
        Adapter("lora").put_into(encoder)


def test_refused_for_other_encoders_and_ranks() -> None:
    with pytest.raises(
        UsageError, match="adapter=lora needs a plain vision transformer or MiT, not ResNetV1c"
    ):
        networks.require_adapter("deeplabv2-r101", Adapter("lora"))
    with pytest.raises(UsageError, match=r"rank 17 is none for block1\.0\.attn\.q.*from 1 to 16"):
        adapted("daformer-mini", rank=17)


def test_peft_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"the package peft, which is not installed: pip install -e '\.\[lora\]'"
    ):
        adapted("daformer-mini")


def test_all_layers_are_the_default() -> None:
    assert LoRAOptions().targets == get_args(BlockLayer)
