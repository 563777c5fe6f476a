"""LoRA: beside frozen matrices, products of low rank are trained. The layers are those of the package peft.

Source: Hu et al., LoRA, arXiv 2106.09685. peft takes seconds to import, so only when used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import get_args

from torch import nn

from adaptbench.errors import UsageError
from adaptbench.networks.adapters.split_qkv import split_qkv
from adaptbench.optim.recipe import BlockLayer

#: Every layer that may have a product.
LAYERS: tuple[BlockLayer, ...] = get_args(BlockLayer)
#: What encoders call them besides.
_OTHER_NAMES: Mapping[str, BlockLayer] = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "fc1_g": "fc1",
    "fc1_x": "fc1",
}


@dataclass(frozen=True)
class LoRAOptions:
    """What has a product, and how large it is. The defaults are those of SoMA's adapters, which LoRA is compared with.

    Attributes:
        rank: of the products.
        alpha: `rank` times the factor on them.
        targets: some of `LAYERS`; LoRA's own paper has products beside ``q`` and ``v`` alone.

    Source: configuration of SoMA, arXiv 2412.04077; LoRA, arXiv 2106.09685, section 7.1.
    """

    rank: int = 16
    alpha: int = 16
    targets: tuple[BlockLayer, ...] = LAYERS


def wrap(encoder: nn.Module, options: LoRAOptions) -> list[str]:
    """Freezes an encoder but for products beside the targets in its blocks, whose names are returned.

    Nothing changes at the start: one factor of every product is zero.

    Raises:
        UsageError: peft is not installed, or the encoder has no such layer, or one with fewer rows or columns.
    """
    if find_spec("peft") is None:
        raise UsageError(
            "adapter=lora needs the package peft, which is not installed: pip install -e '.[lora]' -c constraints.txt."
        )
    from peft import LoraConfig, inject_adapter_in_model

    split_qkv(encoder)
    chosen = [(name, layer) for name, layer in _linears_of_blocks(encoder) if _kind(name) in options.targets]
    if not chosen:
        raise UsageError(f"adapter=lora: the encoder has no layer of the kinds {', '.join(options.targets)}.")
    for name, layer in chosen:
        _require_rank(name, layer, options.rank)
    names = [name for name, _ in chosen]
    config = LoraConfig(r=options.rank, lora_alpha=options.alpha, target_modules=names)
    inject_adapter_in_model(config, encoder)
    return names


def _kind(name: str) -> str:
    last = name.rpartition(".")[2]
    return _OTHER_NAMES.get(last, last)


def _linears_of_blocks(encoder: nn.Module) -> list[tuple[str, nn.Linear]]:
    """Linear layers below a list of blocks."""
    return [
        (name, part)
        for name, part in encoder.named_modules()
        if isinstance(part, nn.Linear) and any(word.startswith("block") for word in name.split("."))
    ]


def _require_rank(name: str, layer: nn.Linear, rank: int) -> None:
    most = min(layer.weight.shape)
    if not 0 < rank <= most:
        raise UsageError(
            f"adapter=lora: rank {rank} is none for {name}, whose matrix is {tuple(layer.weight.shape)}. Choose "
            f"lora_rank from 1 to {most}."
        )
