"""The narrow twins of DeepLabV2 with two outputs, as functions of their parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .making import Made, Rng, maker, normal, rounds, side, single
from .plain_networks import State, resized, statistics_of

_DILATIONS, _STRIDES = (6, 12, 18, 24), (1, 2, 1, 1)
_TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
#: Of the 3x3 convolutions in the four stages.
_INNER = (1, 1, 2, 4)


def _norm(rng: Rng, state: State, name: str, width: int) -> None:
    state[f"{name}.weight"] = (1 + normal(rng, width, scale=0.2)).float().double()
    state[f"{name}.bias"] = normal(rng, width, scale=0.2)
    state[f"{name}.running_mean"] = normal(rng, width, scale=0.2)
    state[f"{name}.running_var"] = (0.5 + normal(rng, width).abs()).float().double()
    state[f"{name}.num_batches_tracked"] = torch.tensor(side(rng, 0, 9))


def _conv(rng: Rng, state: State, name: str, *shape: int) -> None:
    state[f"{name}.weight"] = normal(rng, *shape, scale=math.sqrt(2 / math.prod(shape[1:])))


def narrow_network(rng: Rng, hyper: dict[str, Any]) -> State:
    """Parameters of the encoder and of both classifiers."""
    state: State = {}
    inputs, classes = hyper["stem"], hyper["num_classes"]
    _conv(rng, state, "conv1", inputs, 3, 7, 7)
    _norm(rng, state, "bn1", inputs)
    widths = []
    for stage, (planes, blocks) in enumerate(zip(hyper["planes"], hyper["blocks"], strict=True)):
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            shapes = ((planes, inputs, 1, 1), (planes, planes, 3, 3), (4 * planes, planes, 1, 1))
            for i, shape in enumerate(shapes):
                _conv(rng, state, f"{name}.conv{i + 1}", *shape)
                _norm(rng, state, f"{name}.bn{i + 1}", shape[0])
            if block == 0:
                _conv(rng, state, f"{name}.downsample.0", 4 * planes, inputs, 1, 1)
                _norm(rng, state, f"{name}.downsample.1", 4 * planes)
            inputs = 4 * planes
        widths.append(inputs)
    for layer, width in (("layer5", widths[2]), ("layer6", widths[3])):
        for i in range(len(_DILATIONS)):
            state[f"{layer}.conv2d_list.{i}.weight"] = normal(rng, classes, width, 3, 3, scale=0.1)
            state[f"{layer}.conv2d_list.{i}.bias"] = normal(rng, classes, scale=0.1)
    return state


def _normed(state: State, name: str, maps: Tensor, training: bool) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    if training:
        own = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
        state[f"{name}.running_mean"] = 0.9 * mean + 0.1 * own[0]
        state[f"{name}.running_var"] = 0.9 * variance + 0.1 * maps.var((0, 2, 3), unbiased=True)
        state[f"{name}.num_batches_tracked"] = state[f"{name}.num_batches_tracked"] + 1
        mean, variance = own
    maps = (maps - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    return maps * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def _bottleneck(state: State, name: str, maps: Tensor, stride: int, dilation: int, training: bool) -> Tensor:
    """The stride is in the first convolution."""
    shortcut, found = maps, maps
    for i, options in enumerate(({"stride": stride}, {"padding": dilation, "dilation": dilation}, {})):
        found = functional.conv2d(found, state[f"{name}.conv{i + 1}.weight"], **options)  # type: ignore[arg-type]
        found = _normed(state, f"{name}.bn{i + 1}", found, training)
        found = found.relu() if i < 2 else found
    if f"{name}.downsample.0.weight" in state:
        shortcut = functional.conv2d(maps, state[f"{name}.downsample.0.weight"], stride=stride)
        shortcut = _normed(state, f"{name}.downsample.1", shortcut, training)
    return (found + shortcut).relu()


def narrow_features(state: State, image: Tensor, blocks: Sequence[int], training: bool) -> list[Tensor]:
    """Of all stages."""
    maps = functional.conv2d(image, state["conv1.weight"], stride=2, padding=3)
    maps = _normed(state, "bn1", maps, training).relu()
    maps = functional.max_pool2d(maps, 3, stride=2, padding=1, ceil_mode=True)
    found = []
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 1 if block else _STRIDES[stage]
            maps = _bottleneck(state, f"layer{stage + 1}.{block}", maps, stride, _INNER[stage], training)
        found.append(maps)
    return found


def _classified(state: State, layer: str, maps: Tensor, number: int) -> Tensor:
    parts = [
        functional.conv2d(
            maps,
            state[f"{layer}.conv2d_list.{i}.weight"],
            state[f"{layer}.conv2d_list.{i}.bias"],
            padding=dilation,
            dilation=dilation,
        )
        for i, dilation in enumerate(_DILATIONS[:number])
    ]
    return torch.stack(parts).sum(0)


def narrow_sizes(rng: Rng) -> dict[str, Any]:
    """Widths and depths."""
    return {
        "stem": side(rng, 4, 7),
        "planes": [side(rng, 3, 6) for _ in range(4)],
        "blocks": [side(rng, 1, 2) for _ in range(4)],
        "num_classes": side(rng, 2, 9),
    }


def _drawn(rng: Rng) -> tuple[dict[str, Any], Tensor, State]:
    """Hyper-parameters, images and parameters for which batch norms do not blow up rounding."""
    while True:
        hyper, image = narrow_sizes(rng), normal(rng, 2, 3, side(rng, 33, 60), side(rng, 33, 60))
        state = narrow_network(rng, hyper)
        exact = _outputs(dict(state), image, hyper, training=True)
        found = _outputs(single(state), image.float(), hyper, training=True)
        if not any(rounds(found[name], exact[name], _TOLERANCE, 0.7) for name in ("aux", "main")):
            return hyper, image, state


def _outputs(state: State, image: Tensor, hyper: dict[str, Any], training: bool) -> dict[str, Tensor]:
    """Last features, and logits of all branches."""
    maps = narrow_features(state, image, hyper["blocks"], training)
    aux, main = _classified(state, "layer5", maps[2], 4), _classified(state, "layer6", maps[3], 4)
    return {"feature": maps[3], "aux": aux, "main": main}


@maker("advent_deeplabv2_small")
def four_branches(rng: Rng) -> Made:
    """Other depths, widths and odd sizes; all branches of the classifiers."""
    hyper, image, state = _drawn(rng)
    moving, arrays = dict(state), {"in/image": image}
    for mode, of in (("eval", state), ("train", moving)):
        outputs = _outputs(of, image, hyper, mode == "train")
        arrays |= {f"out/{mode}/{name}": outputs[name] for name in ("aux", "main")}
    arrays |= {f"param/{name}": tensor for name, tensor in state.items()}
    arrays |= {f"out/running_after_one_train_forward/{name}": moving[name] for name in statistics_of(moving)}
    return Made({"hyper_parameters": hyper, "tolerance": _TOLERANCE}, arrays)


@maker("ehtdi_deeplab_small")
def two_branches(rng: Rng) -> Made:
    """The first two branches alone, resized inside the network."""
    hyper, image, state = _drawn(rng)
    state["proto_classifier.weight"] = normal(rng, hyper["num_classes"], 4 * hyper["planes"][3], 1, 1)
    arrays: dict[str, Any] = {"in/image": image, **{f"param/{name}": t for name, t in state.items()}}
    for mode in ("eval", "train"):
        maps = narrow_features(dict(state), image, hyper["blocks"], mode == "train")
        small = _classified(state, "layer6", maps[3], 2)
        auxiliary, size = _classified(state, "layer5", maps[2], 2), image.shape[2:]
        arrays |= {
            f"out/{mode}/feature": maps[3],
            f"out/{mode}/small": small,
            f"out/{mode}/main": resized(small, size, align=True),
            f"out/{mode}/aux": resized(auxiliary, size, align=True),
        }
    idle = [name for name in state if ".conv2d_list.2." in name or ".conv2d_list.3." in name]
    content = {"hyper_parameters": hyper, "parameters_without_gradient": [*idle, "proto_classifier.weight"]}
    return Made({**content, "tolerance": {"rtol": 1e-4, "atol": 2e-5}}, arrays)
