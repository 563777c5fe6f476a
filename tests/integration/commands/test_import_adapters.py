"""``import`` of adapters as Rein and SoMA publish them: names as recorded, around the encoder's start weights."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.contracts.method import Method
from adaptbench.contracts.profiles import profile
from adaptbench.execution.given import imported
from adaptbench.networks.adapters.choice import Adapter, ReinOptions
from adaptbench.networks.adapters.soma import SoMALinear, SoMAOptions
from adaptbench.networks.adapters.split_qkv import split_qkv
from adaptbench.optim.recipe import AdapterKind
from methods.rein_dg import ReinDG
from methods.soma_dg import SoMADG

VIT = "daformer-vit-mini"
Call = Callable[..., str]
METHODS: dict[str, type[Method]] = {"rein": ReinDG, "soma": SoMADG}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """Start weights of the encoder."""
    torch.manual_seed(5)
    state = networks.start_encoder(VIT, "none").state_dict()
    save_file({name.removeprefix("model."): t for name, t in state.items()}, tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


def trained(kind: AdapterKind, start: Path) -> nn.Module:
    """A network that was trained, as the code of Rein or SoMA leaves it."""
    adapter = Adapter(kind, ReinOptions(), SoMAOptions())
    network = networks.build(VIT, 19, str(start), adapter).eval()
    if kind == "soma":
        _around_whole_matrices(network.get_submodule("backbone"), start)
    torch.manual_seed(6)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))
    return network


def _around_whole_matrices(encoder: nn.Module, start: Path) -> None:
    """The released training reads the pretrained file after the components were made."""
    whole = networks.start_encoder(VIT, str(start))
    split_qkv(whole)
    for name, layer in encoder.named_modules():
        if isinstance(layer, SoMALinear):
            layer.weight.data.copy_(whole.get_submodule(name).get_parameter("weight"))


def published(kind: AdapterKind, network: nn.Module) -> dict[str, Tensor]:
    """What is saved of it, by the recorded names."""
    state = network.state_dict()
    if kind == "rein":
        return {name: t for name, t in state.items() if "rein" in name or name.startswith("decode_head.")}
    kept = {
        n: t for n, t in state.items() if "lora" in n or n.endswith("bias") or n.startswith("decode_head.")
    }
    theirs = {re.sub(r"\.attn\.qkv\.([qkv])\.", r".attn.\1.", name): tensor for name, tensor in kept.items()}
    return {**theirs, "backbone.model.mask_token": torch.zeros(1, 96)}


def write(tensors: dict[str, Tensor], path: Path, prefix: str = "") -> Path:
    torch.save({"state_dict": {prefix + name: tensor for name, tensor in tensors.items()}}, path)
    return path


def asked(kind: AdapterKind) -> tuple[str, ...]:
    return ("--method", f"{kind}_dg", "--network", VIT, "--name", "mine")


def logits(kind: str, out: Path, image: Tensor) -> Tensor:
    """Of what was imported."""
    place = out / "imported" / "mine"
    kept = imported.load_facts(place)
    stage = imported.stage_of(METHODS[kind], kept.network, kept.overrides, profile("paper"))
    network = imported.build(stage, kept.class_set, profile("paper")).scored_network().eval()
    network.load_state_dict(imported.load_weights(place, kept), strict=True)
    with torch.no_grad():
        found: Tensor = network(image)
    return found


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("kind", ["rein", "soma"])
def test_an_adapter_is_put_around_the_start_weights(
    kind: AdapterKind, prefix: str, start: Path, call: Call, out: Path, tmp_path: Path
) -> None:
    network, image = trained(kind, start), torch.rand(1, 3, 64, 64)
    file = write(published(kind, network), tmp_path / "iter_40000.pth", prefix)
    call("import", file, *asked(kind), "--set", f"pretraining={start}")
    with torch.no_grad():
        assert torch.equal(logits(kind, out, image), network(image))


@pytest.mark.parametrize("kind", ["rein", "soma"])
def test_a_file_with_everything_needs_no_start_weights(
    kind: AdapterKind, start: Path, call: Call, out: Path, tmp_path: Path
) -> None:
    network, image = trained(kind, start), torch.rand(1, 3, 64, 64)
    names = {"rein": (r"^backbone\.model\.", "backbone."), "soma": (r"\.attn\.qkv\.([qkv])\.", r".attn.\1.")}
    old, new = names[kind]
    everything = {re.sub(old, new, name): tensor for name, tensor in network.state_dict().items()}
    call("import", write(everything, tmp_path / "all.pth"), *asked(kind))
    with torch.no_grad():
        assert torch.equal(logits(kind, out, image), network(image))


def test_a_file_with_almost_everything_is_not_completed(
    start: Path, call: Call, out: Path, tmp_path: Path
) -> None:
    everything = dict(trained("soma", start).state_dict())
    del everything["backbone.model.blocks.0.mlp.fc1.weight"]
    file = write(everything, tmp_path / "all.pth")
    said = call("import", file, *asked("soma"), "--set", f"pretraining={start}", status=2)
    assert "it lacks 1 of" in " ".join(said.split())


def test_an_adapter_alone_is_refused_without_start_weights(
    start: Path, call: Call, out: Path, tmp_path: Path
) -> None:
    file = write(published("rein", trained("rein", start)), tmp_path / "adapter.pth")
    said = " ".join(call("import", file, *asked("rein"), status=2).split())
    assert "holds an adapter without the encoder that it was trained in" in said
    assert not (out / "imported" / "mine").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"decode_head.querys2feat.weight": torch.zeros(256, 256)},
            "The decoder in the file is Mask2Former's",
        ),
        ({"backbone.reins.scale": None}, "it lacks 1 of"),
        ({"backbone.reins.learnable_tokens_a": torch.zeros(4, 50, 16)}, "4x50x16 instead of 4x100x16"),
        ({"backbone.reins.scale": torch.tensor(float("nan"))}, "values that are no finite numbers"),
    ],
)
def test_what_does_not_fit_is_said_in_words(
    change: dict[str, Any], expected: str, start: Path, call: Call, out: Path, tmp_path: Path
) -> None:
    tensors = {**published("rein", trained("rein", start)), **change}
    file = write({name: t for name, t in tensors.items() if t is not None}, tmp_path / "adapter.pth")
    said = call("import", file, *asked("rein"), "--set", f"pretraining={start}", status=2)
    assert expected in " ".join(said.split())
    assert not (out / "imported" / "mine").exists()
