"""The networks of the recorded cases, from the configurations in the case files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from adaptbench.networks import Segmentor, hrda
from adaptbench.networks.daformer import DAFormerHead
from adaptbench.networks.deeplabv2 import DeepLabV2Head
from adaptbench.networks.mit import MiT

from .case import Case

Config = Mapping[str, Any]

_ATTENTION = {True: "classwise", False: "single"}


def backbone(config: Config) -> nn.Module:
    """A mix transformer."""
    assert config["type"] == "MixVisionTransformer", config["type"]
    assert config["drop_rate"] == config["attn_drop_rate"] == 0.0, "such dropout is not drawn again"
    return MiT(
        channels=config["embed_dims"],
        depths=config["depths"],
        heads=config["num_heads"],
        reductions=config["sr_ratios"],
        mlp_ratios=config["mlp_ratios"],
        qkv_bias=config["qkv_bias"],
        drop_path=config["drop_path_rate"],
    )


def head_config(config: Config) -> dict[str, Any]:
    """Our configuration of a decoder, without the number of classes; of the inner one for an HRDA head."""
    kind = config.get("single_scale_head", config["type"])
    if kind == "DLV2Head":
        index, dilations = config["in_index"], config["dilations"]
        return {
            "type": "DeepLabV2Head",
            "in_channels": config["in_channels"],
            "in_index": index,
            "dilations": dilations,
        }
    assert kind == "DAFormerHead", kind
    decoder = config["decoder_params"]
    fusion, neck = decoder["fusion_cfg"], decoder["embed_neck_cfg"]
    context = neck["type"] == "rawconv_and_aspp"
    return {
        "type": "DAFormerHead",
        "in_channels": config["in_channels"],
        "width": config["channels"],
        "fusion": "separable_aspp" if fusion.get("sep") else fusion["type"],
        "dilations": (neck if context else fusion).get("dilations", (1, 6, 12, 18)),
        "context_at_deepest": context,
        "dropout": config["dropout_ratio"],
        "embedding_width": decoder["embed_dims"],
        "attention_block": fusion.get("down_factor", [8])[0],
    }


def single_scale_head(config: Config, num_classes: int) -> nn.Module:
    """The decoder of our configuration."""
    kinds: dict[str, type[nn.Module]] = {"DAFormerHead": DAFormerHead, "DeepLabV2Head": DeepLabV2Head}
    return kinds[config["type"]](num_classes=num_classes, **{k: v for k, v in config.items() if k != "type"})


def hrda_options(head: Config, scales: list[float], crop: list[int], **changes: Any) -> hrda.HRDAOptions:
    """Options of an HRDA network."""
    fixed = head.get("fixed_attention")
    context_scale, detail_scale = sorted(scales)
    return hrda.HRDAOptions(
        detail_crop=(crop[0], crop[1]),
        context_scale=context_scale,
        detail_scale=detail_scale,
        attention="fixed" if fixed is not None else _ATTENTION[head["attention_classwise"]],  # type: ignore[arg-type]
        fixed_attention=0.5 if fixed is None else fixed,
        attention_width=head.get("attention_embed_dim"),
        **changes,
    )


def hrda_head(config: Config, options: hrda.HRDAOptions) -> hrda.HRDAHead:
    """The HRDA head around the decoder of a configuration."""
    inner = head_config(config)
    head = single_scale_head(inner, config["num_classes"])
    return hrda.hrda_head(head, inner, config["num_classes"], options)


def segmentor(config: Config, **changes: Any) -> nn.Module:
    """A whole network; ``changes`` replace HRDA options."""
    head = config["decode_head"]
    if config["type"] == "EncoderDecoder":
        return Segmentor(
            backbone(config["backbone"]), single_scale_head(head_config(head), head["num_classes"])
        )
    assert config["type"] == "HRDAEncoderDecoder", config["type"]
    sliding = "overlapping" if config["hr_slide_overlapping"] else "adjacent"
    stated = {
        "divisor": config["crop_coord_divisible"],
        "detail_windows": sliding if config["hr_slide_inference"] else "whole",
        "blur_detail": config["blur_hr_crop"],
    }
    options = hrda_options(head, config["scales"], config["hr_crop_size"], **{**stated, **changes})
    return hrda.HRDASegmentor(backbone(config["backbone"]), hrda_head(head, options), options)


def load(case: Case, module: nn.Module, prefix: str = "param/") -> None:
    """Load recorded parameters; names must match exactly and come in the recorded order.

    Raises:
        AssertionError: other names than recorded.
    """
    state = {name: torch.from_numpy(array.copy()) for name, array in case.arrays(prefix).items()}
    case.expect(f"names of {prefix}*", list(module.state_dict()), list(state))
    module.load_state_dict(state)


def compare_buffers(case: Case, module: nn.Module, prefix: str) -> None:
    """Compare the recorded batch norm statistics."""
    buffers = dict(module.named_buffers())
    for name in case.arrays(prefix):
        case.compare(prefix + name, buffers[name])
