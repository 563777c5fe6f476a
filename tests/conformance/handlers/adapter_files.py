"""What adapters are made of by name, and the pretrained files that they start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from adaptbench.networks.adapters.rein import Rein
from adaptbench.networks.adapters.split_qkv import SplitQKV
from adaptbench.networks.pretrained.adapter_files import REIN_FILES, SOMA_FILES
from adaptbench.networks.pretrained.patch_size import resized_kernel, resized_positions
from adaptbench.networks.pretrained.published import Layout

from ..adapter_networks import MASK_TOKEN, our_name, rein_network, soma_network
from ..case import Case
from ..registry import handler


@handler("convert_pretrained")
def check_conversion(case: Case) -> None:
    patch, crop = case.hyper("patch_to"), case.hyper("crop_size")
    kernel = resized_kernel(case.tensor("in/patch_embed.proj.weight"), patch)
    case.compare("out/patch_embed.proj.weight", kernel)
    grid = (crop[0] // patch, crop[1] // patch)
    case.compare("out/pos_embed", resized_positions(case.tensor("in/pos_embed"), grid))
    for name in case.arrays("in/"):
        if name.endswith(".qkv.weight"):
            _check_split(case, name.removesuffix("qkv.weight"))


def _check_split(case: Case, attention: str) -> None:
    weight, bias = (case.tensor(f"in/{attention}qkv.{part}") for part in ("weight", "bias"))
    fused = nn.Linear(weight.shape[1], weight.shape[0])
    fused.load_state_dict({"weight": weight, "bias": bias})
    for name, tensor in SplitQKV(fused).state_dict().items():
        case.compare(f"out/{attention}{name}", tensor)


@handler("state_dict")
def check_names(case: Case) -> None:
    _check_rein(case, case.json["rein"])
    _check_soma(case, case.json["soma"])


def _check_rein(case: Case, recorded: dict[str, Any]) -> None:
    network = rein_network(case.hyper("rein"))
    case.expect("keys_in_memory", len(network.state_dict()), recorded["keys_in_memory"])
    _check_trained(case, network, recorded["keys_saved"])
    _check_layout(case, REIN_FILES, network, recorded["keys_saved"])
    large = recorded["saved_for_vit_large"]
    tokens, rank = large["backbone.reins.learnable_tokens_a"][1:]
    layers, _, channels = large["backbone.reins.learnable_tokens_b"]
    with torch.device("meta"):
        rein = Rein(layers, channels, tokens, rank, large["backbone.reins.merge.bias"][0])
    shapes = {f"backbone.reins.{name}": list(tensor.shape) for name, tensor in rein.state_dict().items()}
    assert shapes == large, f"{case.name}: shapes of ViT-L's adapter: {shapes}"
    values = sum(parameter.numel() for parameter in rein.parameters())
    case.expect("parameter_count_vit_large", values, recorded["parameter_count_vit_large"])


def _check_soma(case: Case, recorded: dict[str, Any]) -> None:
    network = soma_network(case.hyper("soma"))
    case.expect("all_keys", sorted(network.state_dict()), sorted(map(our_name, recorded["all_keys"])))
    extracted = recorded["extracted"]["keys"]
    never = set(recorded["extracted_but_never_trained"])
    trained = [name for name in extracted if name not in never] + recorded["trained_but_not_extracted"]
    _check_trained(case, network, trained)
    files = [extracted, recorded["all_keys"], *filter(None, [recorded["extracted"].get("keys_from_average")])]
    for keys in files:
        _check_layout(case, SOMA_FILES, network, keys)


def _check_layout(case: Case, layout: Layout, network: nn.Module, keys: list[str]) -> None:
    """Of a file that is imported, all names become ours; what it lacks are start weights."""
    found = layout.tensors({name: torch.zeros(1) for name in keys}, "student", Path(case.name)).keys()
    names = network.state_dict().keys() - {f"backbone.{MASK_TOKEN}"}
    start = {name for name in names - found if layout.frozen is not None and layout.frozen(name)}
    case.expect("imported", sorted(found | start), sorted(names))


def _check_trained(case: Case, network: nn.Module, recorded: list[str]) -> None:
    found = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    case.expect("trained", sorted(found), sorted(map(our_name, recorded)))
