"""Names, shapes and types of all parameters of the full-size networks, in the order of the published files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import torch
from torch import nn

from adaptbench import networks
from adaptbench.adaptation.style import StyleHallucination
from adaptbench.networks import hrda

from ..case import Case
from ..registry import handler

#: Layers that have a row for every class.
_CLASSIFIER = r"^decode_head\.(head\.)?(conv_seg|aspp_modules\.0\.conv|conv2d_list\.0)\.(weight|bias)$"
#: Last layers of a scale attention.
_ATTENTION = r"^decode_head\.scale_attention\.(conv_seg|aspp_modules\.0\.conv|conv2d_list\.0)\.weight$"


@handler("checkpoint_keys")
def check(case: Case) -> None:
    with torch.device("meta"):
        network = _network(case, _classes(case))
    state = network.state_dict()
    found = [
        [name, list(value.shape), str(value.dtype).removeprefix("torch.")] for name, value in state.items()
    ]
    recorded = case.json["keys"]
    case.expect("names", [name for name, _, _ in found], [name for name, _, _ in recorded])
    lines, expected = (
        [f"{name} {'x'.join(map(str, shape))} {dtype}" for name, shape, dtype in keys]
        for keys in (found, recorded)
    )
    case.expect("shapes and types", lines, expected)
    case.expect("keys_per_prefix", len(lines), case.json["keys_per_prefix"])
    prefixes = case.json["prefixes_in_order"]
    listing = "\n".join(prefix + line for prefix in prefixes for line in lines)
    digest = hashlib.sha256(listing.encode()).hexdigest()
    case.expect("sha256_of_full_listing", digest, case.json["sha256_of_full_listing"])
    styles = [buffer for name, buffer in network.named_buffers() if "style" in name]  # parameters there
    count = sum(tensor.numel() for tensor in [*network.parameters(), *styles])
    case.expect("parameters_per_prefix", count, case.json["parameters_per_prefix"])


def _classes(case: Case) -> int:
    """Rows of the classifier, the last tensor of a head that has classes."""
    counts = [shape[0] for name, shape, _ in case.json["keys"] if re.search(_CLASSIFIER, name)]
    return int(counts[0])


def _network(case: Case, classes: int) -> nn.Module:
    shapes = {name: shape for name, shape, _ in case.json["keys"]}
    if "hrda" in case.name:
        network = hrda.build_hrda(_single_scale(case.name), classes, _options(shapes))
    else:
        network = networks.build(_single_scale(case.name), classes)
    if styles := shapes.get("backbone.style_hallucination.proto_mean"):
        number, channels = styles
        network.get_submodule("backbone").style_hallucination = StyleHallucination(channels, number)
    return network


def _single_scale(name: str) -> str:
    """Our network; names say the encoder as ``mitb5`` or ``dlv2_r101``."""
    if found := re.search(r"_mitb(\d)", name):
        return f"daformer-mit_b{found[1]}"
    found = re.search(r"dlv2_(?:.*_)?r(\d+)", name)
    assert found, f"the handler does not know the network of {name}"
    return f"deeplabv2-r{found[1]}"


def _options(shapes: Mapping[str, list[int]]) -> hrda.HRDAOptions:
    """The kind of scale attention that the listed tensors belong to."""
    attention = [rows[0] for name, rows in shapes.items() if re.search(_ATTENTION, name)]
    if not attention:
        return hrda.HRDAOptions(attention="fixed")
    return hrda.HRDAOptions(attention="single" if attention[0] == 1 else "classwise")
