"""How checkpoints of PixMatch and EHTDI are laid out.

Source: the code that saves them, lukemelas/pixmatch and ljjcoder/EHTDI.
"""

from __future__ import annotations

import re

from torch import Tensor

from adaptbench.networks.pretrained.published import Layout, Tensors

#: What the releases never evaluate: two of the four branches of each classifier, and what EHTDI's losses leave out.
_IDLE = re.compile(r"layer[56]\.conv2d_list\.[23]\.|proto_classifier\.|fuse_weight_1$|para$")
_NAMES = (
    (re.compile(r"^layer5\.conv2d_list\.(\d)\."), r"decode_head.aux.aspp_modules.\1.conv."),
    (re.compile(r"^layer6\.conv2d_list\.(\d)\."), r"decode_head.main.aspp_modules.\1.conv."),
    (re.compile(r"^((conv1|bn1|layer[1-4])\.)"), r"backbone.\1"),
)


def _ours(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors by our names, without the idle ones."""
    return {_our_name(name): tensor for name, tensor in tensors.items() if not _IDLE.match(name)}


def _our_name(name: str) -> str:
    for pattern, ours in _NAMES:
        name = pattern.sub(ours, name)
    return name


#: Student and running average are parts of the file, each possibly behind ``module.``; the average is scored.
STUDENT_AND_SHADOW = Layout(
    student={"state_dict.": ""},
    teacher={"shadow.": ""},
    others=("optimizer.",),
    convert=_ours,
    scored="teacher",
)
