from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from adaptbench import networks
from adaptbench.contracts.settings import Settings
from adaptbench.errors import UsageError
from adaptbench.networks.adapters.choice import Adapter, ReinOptions
from adaptbench.networks.adapters.soma import SoMAOptions
from adaptbench.networks.hrda import HRDAOptions, build_hrda
from adaptbench.networks.plain_vit import PlainViT
from adaptbench.optim.recipe import AdapterKind

_IMAGE = torch.randn(1, 3, 64, 64)


def transformer(kind: AdapterKind) -> nn.Module:
    torch.manual_seed(0)
    adapter = Adapter(kind, ReinOptions(tokens=5, rank=2), SoMAOptions(rank=2, alpha=2))
    return networks.build("daformer-vit-mini", 4, adapter=adapter)


def trained(network: nn.Module) -> set[str]:
    """Parts of the encoder that are trained."""
    names = (name for name, p in network.get_submodule("backbone").named_parameters() if p.requires_grad)
    return {name.split(".")[0] for name in names}


def test_adapters_are_trained_in_place_of_the_encoder() -> None:
    assert trained(transformer("full")) == {"model"}
    assert trained(transformer("frozen")) == set()
    assert trained(transformer("rein")) == {"reins"}
    soma = transformer("soma")
    blocks = {
        name.split(".")[3] for name, p in soma.named_parameters() if p.requires_grad and "blocks" in name
    }
    assert blocks == {"1", "2", "3"}, "a third of four blocks, rounded down, is left as it is"


def test_soma_changes_nothing_at_the_start() -> None:
    with torch.no_grad():
        plain, adapted = (transformer(kind).eval()(_IMAGE) for kind in ("full", "soma"))
    torch.testing.assert_close(adapted, plain, rtol=1e-4, atol=1e-5)


def test_a_copy_has_an_adapter_of_its_own() -> None:
    student = transformer("rein").eval()
    teacher = copy.deepcopy(student)
    before = teacher(_IMAGE)
    with torch.no_grad():
        for parameter in student.get_submodule("backbone.reins").parameters():
            parameter.add_(1.0)
    assert torch.equal(teacher(_IMAGE), before)
    assert not torch.equal(student(_IMAGE), before)


@pytest.mark.parametrize("name", ["daformer-mini", "deeplabv2-mini"])
def test_any_encoder_can_be_frozen(name: str) -> None:
    network = networks.build(name, 4, adapter=Adapter("frozen"))
    for seen in (network, copy.deepcopy(network)):
        seen.train()
        assert not any(part.training for part in seen.get_submodule("backbone").modules())
        assert seen.get_submodule("decode_head").training
        assert all(name.startswith("decode_head.") for name, p in seen.named_parameters() if p.requires_grad)


def test_hrda_has_the_adapter_of_its_network() -> None:
    network = build_hrda("daformer-mini", 4, HRDAOptions(), adapter=Adapter("frozen"))
    assert not any(p.requires_grad for p in network.get_submodule("backbone").parameters())


@pytest.mark.parametrize("kind", ["rein", "soma"])
def test_other_encoders_cannot_have_an_adapter(kind: AdapterKind) -> None:
    with pytest.raises(UsageError, match=f"adapter={kind} needs a plain vision transformer, not MiT"):
        networks.build("daformer-mini", 4, adapter=Adapter(kind))


def test_the_default_is_written_nowhere() -> None:
    dumped = Settings().model_dump()
    assert not {"adapter", "head_norm_weight_decay", "poly_after_warmup", "weight_decay_end"} & dumped.keys()
    assert Settings.model_validate({"adapter": "frozen"}).model_dump()["adapter"] == "frozen"


def test_components_are_refused_where_the_encoder_reads_its_layers_itself() -> None:
    encoder = PlainViT("eva02_tiny_patch14_224", {"depth": 1})
    with pytest.raises(UsageError, match="rotary positions"):
        Adapter("soma").put_into(encoder)
    Adapter("rein").put_into(encoder)
    (features,) = encoder(torch.rand(1, 3, 28, 28))
    assert features.shape == (1, 192, 2, 2)
