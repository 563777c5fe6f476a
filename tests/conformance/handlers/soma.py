"""SoMA: matrices split by their singular values, and which layers of a transformer are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench.networks.adapters import soma, split_qkv
from adaptbench.networks.adapters.soma import SoMALinear
from adaptbench.networks.plain_vit import PlainViT

from ..adapter_networks import MASK_TOKEN, encoder_of, fused, soma_options, their_module
from ..case import Case
from ..registry import handler


@handler("soma_init")
def check(case: Case) -> None:
    for matrix in case.hyper("matrices"):
        _check_matrix(case, matrix)
    encoder = _pretrained(case, case.arrays("param/backbone/"))
    image = case.tensor("in/image")
    with torch.no_grad():
        original = encoder(image)
        names = _adapt(case, encoder.model)
        adapted = encoder(image)
    for level, (before, after) in enumerate(zip(original, adapted, strict=True)):
        case.compare(f"out/backbone/features_original/{level}", before)
        case.compare(f"out/backbone/features_adapted/{level}", after)
    difference = max(float((a - b).abs().max()) for a, b in zip(adapted, original, strict=True))
    case.compare("out/backbone/max_difference", difference)
    _check_products(case, encoder.model)
    _check_structure(case, encoder.model, names)
    _check_fused(case)
    _check_loading_order(case)


def _check_matrix(case: Case, matrix: str) -> None:
    weight, bias = case.tensor(f"param/matrix/{matrix}"), case.tensor(f"param/bias/{matrix}")
    original = nn.Linear(weight.shape[1], weight.shape[0])
    original.load_state_dict({"weight": weight, "bias": bias})
    rows = case.tensor(f"in/x/{matrix}")
    case.compare(f"out/{matrix}/singular_values", torch.linalg.svdvals(weight))
    for name, variant in case.hyper("variants").items():
        prefix = f"out/{matrix}/{name}/"
        adapted = SoMALinear(original, variant["r"], variant["lora_alpha"], variant["first_eigen"])
        signs = _signs(adapted.lora_A.weight, case.tensor(f"{prefix}lora_A"))
        case.compare(f"{prefix}lora_A", signs[:, None] * adapted.lora_A.weight)
        case.compare(f"{prefix}lora_B", signs * adapted.lora_B.weight)
        case.compare(f"{prefix}residual", adapted.weight)
        case.compare(f"{prefix}scaled_product", adapted.product())
        with torch.no_grad():
            found, before = adapted(rows), original(rows)
        case.compare(f"{prefix}forward", found)
        case.compare(f"{prefix}forward_original", before)
        case.compare(f"{prefix}max_forward_difference", (found - before).abs().max())


def _signs(found: Tensor, recorded: Tensor) -> Tensor:
    """Those that turn our components into the recorded ones, which may point either way."""
    return (found * recorded).sum(dim=1).sign()


def _pretrained(case: Case, arrays: Mapping[str, Any]) -> PlainViT:
    encoder = encoder_of(case.json["hyper_parameters"], pyramid=True)
    state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    encoder.model.load_state_dict(fused(state))
    return encoder


def _adapt(case: Case, model: nn.Module) -> list[str]:
    split_qkv.split_qkv(model)
    return soma.wrap(model, soma_options(case.json["hyper_parameters"]))


def _check_products(case: Case, model: nn.Module) -> None:
    """Residuals and products of the modules that some are recorded of."""
    for name, layer in _adapted(model).items():
        if case.has(f"out/backbone/{name}.residual"):
            case.compare(f"out/backbone/{name}.residual", layer.weight)
            case.compare(f"out/backbone/{name}.scaled_product", layer.product())


def _adapted(model: nn.Module) -> dict[str, SoMALinear]:
    found = {name: part for name, part in model.named_modules() if isinstance(part, SoMALinear)}
    return {their_module(name): part for name, part in found.items()}


def _check_structure(case: Case, model: nn.Module, names: list[str]) -> None:
    recorded = case.json["expected_structure"]
    layers = _adapted(model)
    case.expect("wrapped_modules", list(layers), [row["name"] for row in recorded["wrapped_modules"]])
    assert sorted(layers) == sorted(map(their_module, names))
    for row in recorded["wrapped_modules"]:
        layer = layers[row["name"]]
        case.expect(f"{row['name']} shape", layer.weight.shape, row["shape"])
        case.expect(f"{row['name']} rank", layer.rank, row["rank"])
        case.expect(f"{row['name']} scaling", layer.scaling, row["scaling"])
    trained = {f"model.{their_module(name)}": p.numel() for name, p in _trained(model)}
    unused = [name for name in recorded["trainable_in_backbone"] if name.endswith(MASK_TOKEN)]
    case.expect(
        "trainable_in_backbone", sorted([*unused, *trained]), sorted(recorded["trainable_in_backbone"])
    )
    values = sum(trained.values()) + len(unused) * case.hyper("embed_dim")
    case.expect("trainable_values_in_backbone", values, recorded["trainable_values_in_backbone"])
    _check_ramp(case, recorded)


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _check_ramp(case: Case, recorded: Mapping[str, Any]) -> None:
    """Tables are called ``rank_ramp_table_rR_alphaA``; a block without an entry is not wrapped."""
    for name in (key for key in recorded if key.startswith("rank_ramp_table")):
        rank, alpha = (int(part.lstrip("ralph")) for part in name.split("_")[-2:])
        options = soma.SoMAOptions(rank, alpha, rising=True)
        for block, row in recorded[name].items():
            if row is not None:
                found = options.rank_in(int(block))
                case.expect(f"{name} {block}", (found, alpha / found), (row["rank"], row["scaling"]))


def _check_fused(case: Case) -> None:
    """Without splitting, the layer of queries, keys and values is one."""
    recorded = case.json["expected_structure"].get("same_rules_on_a_timm_vit_with_fused_qkv")
    if recorded is None:
        return
    block = min(int(name.split(".")[1]) for name in recorded["wrapped"])
    model = nn.Module()
    model.blocks = nn.ModuleList(
        list(encoder_of(case.json["hyper_parameters"], pyramid=True).model.blocks)[: block + 1]
    )
    options = soma.SoMAOptions(case.hyper("r"), case.hyper("lora_alpha"), block)
    case.expect("fused wrapped", soma.wrap(model, options), recorded["wrapped"])
    trained = [name for name, _ in _trained(model)]
    case.expect("fused trainable", sorted(trained), sorted(recorded["trainable"]))


def _check_loading_order(case: Case) -> None:
    """The released training: components of the constructor's weights, and then the matrices are overwritten."""
    weights = case.arrays("param/backbone/")
    encoder = _pretrained(case, {**weights, **case.arrays("param/constructor_weight/")})
    _adapt(case, encoder.model)
    layers = _adapted(encoder.model)
    pretrained = {f"{name}.weight": torch.from_numpy(weights[f"{name}.weight"].copy()) for name in layers}
    for name, layer in layers.items():
        layer.load_state_dict({"weight": pretrained[f"{name}.weight"]}, strict=False)
    for array in case.arrays("out/load_order/frozen_weight/"):
        layer = layers[array.removesuffix(".weight")]
        case.compare(f"out/load_order/frozen_weight/{array}", layer.weight)
        case.compare(f"out/load_order/scaled_product/{array}", layer.product())
