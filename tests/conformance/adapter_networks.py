"""The networks that adapters were recorded in: a small vision transformer under a linear head.

Names of the reference differ from ours: it has queries, keys and values as layers of the attention itself, its wrapped
encoder is one level deeper, and its adapter's scalar is stored as a vector.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench.networks.adapters.choice import Adapter, ReinOptions
from adaptbench.networks.adapters.rein import Rein
from adaptbench.networks.adapters.soma import SoMAOptions
from adaptbench.networks.daformer_vit import ViTPyramid
from adaptbench.networks.inference import resize
from adaptbench.networks.plain_vit import PlainViT

from .case import Case

Config = Mapping[str, Any]

_SIZES = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "init_values")
_SPLIT = re.compile(r"\.attn\.([qkv])\.")
#: An entry that ours lack: it takes no part in anything.
MASK_TOKEN = "mask_token"


def rein_of(case: Case, prefix: str, softmax: bool = True) -> Rein:
    """The adapter whose parameters are recorded behind a prefix; sizes are those of the arrays."""
    state = {name: case.tensor(prefix + name) for name in case.arrays(prefix)}
    full = state.get("learnable_tokens")
    rank = None if full is not None else state["learnable_tokens_a"].shape[-1]
    tokens = full if full is not None else state["learnable_tokens_a"]
    rein = Rein(
        layers=len(tokens),
        channels=len(state["mlp_delta_f.bias"]),
        tokens=tokens.shape[1],
        rank=rank,
        query_channels=len(state["merge.bias"]),
        softmax=softmax,
        start_at_zero="scale" not in state,
    )
    rein.load_state_dict(
        {name: _scalar(tensor) if name == "scale" else tensor for name, tensor in state.items()}
    )
    return rein


def _scalar(tensor: Tensor) -> Tensor:
    return tensor.reshape(())


def encoder_of(config: Config, pyramid: bool = False) -> PlainViT:
    """The transformer of a case, with random weights."""
    options = {name: config[name] for name in _SIZES if config.get(name) is not None}
    kind = ViTPyramid if pyramid else PlainViT
    return kind("vit_tiny_patch16_224", options, config["out_indices"], mask_token=pyramid)


class LinearHead(nn.Module):
    """A score per class and cell from all maps, at the size of the third one; with group norm where a case has it.

    Where the head uses queries, every class also gets a number that is learnt from them.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        classes, channels = config["num_classes"], config["embed_dim"] * len(config["out_indices"])
        groups = config.get("head_groups")
        self.norm = nn.Identity() if groups is None else nn.GroupNorm(groups, channels)
        self.conv_seg = nn.Conv2d(channels, classes, 1)
        if config.get("head_uses_queries"):
            self.query_bias = nn.Linear(config["query_dims"], classes)

    def forward(self, maps: Sequence[Tensor], queries: Tensor | None) -> Tensor:
        """Shape: maps ``(B, c, h, w)`` and queries ``(tokens, channels)`` to ``(B, classes, h, w)``."""
        size = (maps[min(2, len(maps) - 1)].shape[-2], maps[min(2, len(maps) - 1)].shape[-1])
        logits: Tensor = self.conv_seg(self.norm(torch.cat([resize(each, size) for each in maps], dim=1)))
        return logits if queries is None else logits + self.query_bias(queries).mean(0)[:, None, None]


class Network(nn.Module):
    """Encoder and head."""

    def __init__(self, config: Config, backbone: PlainViT) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = LinearHead(config)
        self.linked = bool(config.get("head_uses_queries"))

    def forward(self, image: Tensor) -> Tensor:
        """Logits of cells."""
        return self.logits(self.backbone(image))

    def logits(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits of cells, from the maps of the encoder."""
        rein = self.backbone.reins
        queries = rein.queries() if self.linked and isinstance(rein, Rein) else None
        logits: Tensor = self.decode_head(maps, queries)
        return logits


def rein_network(config: Config) -> Network:
    """A frozen transformer with Rein."""
    rank = config["lora_dim"] if config["adapter"] == "LoRAReins" else None
    encoder = encoder_of(config)
    options = ReinOptions(config["token_length"], rank, config["query_dims"])
    Adapter("rein", rein=options).put_into(encoder)
    return Network(config, encoder)


def soma_network(config: Config) -> Network:
    """A transformer with SoMA; its mask token is trained, as the reference does without any effect."""
    encoder = encoder_of(config, pyramid=True)
    Adapter("soma", soma=soma_options(config)).put_into(encoder)
    encoder.get_parameter("mask_token").requires_grad_(True)
    return Network(config, encoder)


def load(network: Network, case: Case) -> None:
    """Fills a network with the recorded start values."""
    recorded = {our_name(name): case.tensor(f"param/{name}") for name in case.arrays("param/")}
    state = network.state_dict()
    network.load_state_dict({name: tensor.reshape(state[name].shape) for name, tensor in recorded.items()})


def soma_options(config: Config) -> SoMAOptions:
    """What is wrapped in a case."""
    return SoMAOptions(
        config["r"],
        config["lora_alpha"],
        config["start_lora_idx"],
        major=config.get("first_eigen", False),
        rising=config.get("rank_ramp", False),
    )


def fused(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the reference before anything is wrapped, in timm's names: queries, keys and values in one layer."""
    joined: dict[str, Tensor] = {}
    for name, tensor in state.items():
        found = _SPLIT.search(name)
        if found is None and name != MASK_TOKEN:
            joined[name] = tensor
        elif found and found[1] == "q":
            parts = [state[_SPLIT.sub(f".attn.{part}.", name)] for part in "qkv"]
            joined[_SPLIT.sub(".attn.qkv.", name)] = torch.cat(parts)
    return joined


def our_name(name: str) -> str:
    """Of a parameter of the reference: SoMA's encoder has a level that Rein's has not."""
    if name.endswith(MASK_TOKEN):
        return f"backbone.{MASK_TOKEN}"
    levelled = re.sub(r"^backbone\.(?!model\.|reins\.)", "backbone.model.", name)
    return _SPLIT.sub(r".attn.qkv.\1.", levelled)


def their_module(name: str) -> str:
    """Of a module of our encoder, as the reference calls it."""
    return re.sub(r"\.attn\.qkv\.([qkv])(?=\.|$)", r".attn.\1", name)
