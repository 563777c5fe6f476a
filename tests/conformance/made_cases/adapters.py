"""Adapters of other sizes, made by formulas: Rein's tokens, a matrix in two parts, and resized patches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .making import Made, Rng, maker, normal, side

_LOOSE = {"rtol": 1e-4, "atol": 1e-5}
State = dict[str, Tensor]


def _layers(rng: Rng, channels: int, queries: int) -> State:
    shapes = {
        "mlp_token2feat": (channels, channels),
        "mlp_delta_f": (channels, channels),
        "transform": (queries, channels),
        "merge": (queries, 3 * queries),
    }
    state = {}
    for name, (rows, columns) in shapes.items():
        state[f"{name}.weight"] = normal(rng, rows, columns, scale=columns**-0.5)
        state[f"{name}.bias"] = normal(rng, rows, scale=0.3)
    return state


def _changed(sequence: Tensor, tokens: Tensor, state: State, passed: int, softmax: bool) -> State:
    """Token by token: what a block's adapter makes of a sequence. Shape: ``(B, passed + N, c)``."""
    rows = sequence[:, passed:]
    products = torch.stack([(rows * token).sum(-1) for token in tokens], dim=-1)
    if softmax:
        shares = (products / math.sqrt(rows.shape[-1])).exp()
        products = shares / shares.sum(-1, keepdim=True)
    total = rows.clone()
    for index, token in enumerate(tokens):
        if index > 0:
            value = state["mlp_token2feat.weight"] @ token + state["mlp_token2feat.bias"]
            total = total + products[..., index, None] * value
    change = total @ state["mlp_delta_f.weight"].T + state["mlp_delta_f.bias"]
    feats = torch.cat([sequence[:, :passed], rows + state.get("scale", torch.ones(())) * change], dim=1)
    return {"similarity": products, "delta_before_scale": change, "feats": feats}


def _wanting(state: State) -> State:
    return {name: tensor.clone().requires_grad_() for name, tensor in state.items()}


def _gradients(state: State, prefix: str) -> State:
    return {
        f"{prefix}{name}": torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        for name, tensor in state.items()
    }


@maker("rein_delta")
def rein_change(rng: Rng) -> Made:
    """With and without softmax, class token and learnt scalar."""
    layers, channels, count, cells, batch = (side(rng, 2, 4) for _ in range(5))
    state = {
        **_layers(rng, channels, side(rng, 2, 5)),
        "learnable_tokens": normal(rng, layers, count, channels),
    }
    if rng.random() < 0.7:
        state["scale"] = normal(rng, 1)[0].abs()
    feats, token = normal(rng, batch, cells, channels), normal(rng, batch, 1, channels)
    cotangent = normal(rng, batch, cells + 1, channels)
    arrays: dict[str, Any] = {"in/feats": feats, "in/class_token": token, "in/cotangent": cotangent}
    arrays |= {f"param/{name}": tensor for name, tensor in state.items()}
    variants = {}
    for number in range(3):
        passed, softmax, batch_first = (bool(rng.integers(2)) for _ in range(3))
        layer = int(rng.integers(layers))
        variants[f"v{number}"] = {
            "layer": layer,
            "class_token": passed,
            "batch_first": batch_first,
            "use_softmax": softmax,
        }
        own = _wanting(state)
        start = (torch.cat([token, feats], dim=1) if passed else feats.clone()).requires_grad_()
        found = _changed(start, own["learnable_tokens"][layer], own, int(passed), softmax)
        (found["feats"] * cotangent[:, 1 - int(passed) :]).sum().backward()
        assert start.grad is not None
        sequences = {"feats": found["feats"], "grad/feats": start.grad}
        prefix = f"out/v{number}/"
        arrays |= {prefix + name: t if batch_first else t.transpose(0, 1) for name, t in sequences.items()}
        arrays |= {
            prefix + name: found[name].transpose(0, 1) for name in ("similarity", "delta_before_scale")
        }
        arrays |= _gradients(own, f"{prefix}grad/")
    return Made({"hyper_parameters": {"variants": variants}, "tolerance": _LOOSE}, arrays)


@maker("rein_lora_tokens")
def rein_tokens(rng: Rng) -> Made:
    """Other ranks and numbers of layers."""
    layers, channels, count, rank, queries = (side(rng, 2, 5) for _ in range(5))
    patch = side(rng, 2, 16)
    state = {
        **_layers(rng, channels, queries),
        "learnable_tokens_a": normal(rng, layers, count, rank),
        "learnable_tokens_b": normal(rng, layers, rank, channels),
        "scale": normal(rng, 1)[0].abs(),
    }
    feats = normal(rng, 2, side(rng, 3, 6), channels)
    cotangents = normal(rng, count, queries), normal(rng, *feats.shape)
    own, start = _wanting(state), feats.clone().requires_grad_()
    tokens = torch.stack(
        [a @ b for a, b in zip(own["learnable_tokens_a"], own["learnable_tokens_b"], strict=True)]
    )
    sequence = start
    for layer in range(layers):
        sequence = _changed(sequence, tokens[layer], own, 1, softmax=True)["feats"]
    narrow = tokens @ own["transform.weight"].T + own["transform.bias"]
    merged = own["merge.bias"].expand(count, queries)
    for channel in range(queries):
        columns = narrow[..., channel]
        for number, statistic in enumerate(
            (columns.max(0).values, columns.sum(0) / layers, columns[layers - 1])
        ):
            merged = merged + statistic[:, None] * own["merge.weight"][:, 3 * channel + number]
    ((merged * cotangents[0]).sum() + (sequence * cotangents[1]).sum()).backward()
    assert start.grad is not None
    arrays: dict[str, Any] = {f"param/{name}": tensor for name, tensor in state.items()}
    arrays |= {"in/feats": feats, "in/cotangent_queries": cotangents[0], "in/cotangent_feats": cotangents[1]}
    arrays |= {f"out/tokens_layer/{layer}": tokens[layer] for layer in range(layers)}
    arrays |= {"out/tokens_all": tokens, "out/transformed_tokens": narrow, "out/queries": merged}
    arrays |= {"out/feats_after_all_layers": sequence, "out/grad/feats": start.grad}
    arrays |= {"out/not_linked_returns_only_features": torch.tensor(1), **_gradients(own, "out/grad/")}
    bounds = {
        "full_tokens": (6 / (3 * patch**2 + channels)) ** 0.5,
        "low_rank_factors": (6 / (3 * patch**2 + (channels * rank) ** 0.5)) ** 0.5,
    }
    hyper = {
        "num_layers": layers,
        "embed_dims": channels,
        "patch_size": patch,
        "lora_dim": rank,
        "uniform_bounds_of_the_reference_initialisation": bounds,
    }
    return Made({"hyper_parameters": hyper, "tolerance": _LOOSE}, arrays)


def _kernel(distance: Tensor) -> Tensor:
    """Of bicubic interpolation, with the parameter -0.75."""
    near = 1.25 * distance**3 - 2.25 * distance**2 + 1
    far = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))


def _matrix(before: int, after: int) -> Tensor:
    """Weights that resize a line, with the border repeated. Shape: ``(after, before)``."""
    weights = torch.zeros(after, before, dtype=torch.float64)
    for row in range(after):
        place = (row + 0.5) * before / after - 0.5
        for column in range(math.floor(place) - 1, math.floor(place) + 3):
            share = _kernel(torch.tensor(abs(place - column), dtype=torch.float64))
            weights[row, min(max(column, 0), before - 1)] += share
    return weights


def _resized(maps: Tensor, height: int, width: int) -> Tensor:
    """Shape: ``(..., h, w)`` to ``(..., height, width)``."""
    return _matrix(maps.shape[-2], height) @ maps @ _matrix(maps.shape[-1], width).T


@maker("convert_pretrained")
def conversion(rng: Rng) -> Made:
    """Larger and smaller patches, crops of any ratio."""
    channels, before, after, grid = side(rng, 2, 5), side(rng, 4, 14), side(rng, 4, 16), side(rng, 3, 9)
    crop = [after * side(rng, 2, 9), after * side(rng, 2, 9)]
    height, width = crop[0] // after, crop[1] // after
    kernel, positions = normal(rng, channels, 3, before, before), normal(rng, 1, grid * grid + 1, channels)
    square = positions[0, 1:].T.reshape(channels, grid, grid)
    moved = _resized(square, height, width).reshape(channels, -1).T
    name = f"blocks.{side(rng, 0, 11)}.attn."
    fused = normal(rng, 3 * channels, channels), normal(rng, 3 * channels)
    arrays: dict[str, Any] = {
        "in/patch_embed.proj.weight": kernel,
        "in/pos_embed": positions,
        f"in/{name}qkv.weight": fused[0],
        f"in/{name}qkv.bias": fused[1],
        "out/patch_embed.proj.weight": _resized(kernel, after, after),
        "out/pos_embed": torch.cat([positions[0, :1], moved])[None],
    }
    for index, part in enumerate("qkv"):
        rows = slice(index * channels, (index + 1) * channels)
        arrays |= {f"out/{name}{part}.weight": fused[0][rows], f"out/{name}{part}.bias": fused[1][rows]}
    hyper = {
        "patch_from": before,
        "patch_to": after,
        "grid_from": grid,
        "crop_size": crop,
        "channels": channels,
    }
    return Made({"hyper_parameters": hyper, "tolerance": {"rtol": 1e-5, "atol": 1e-5}}, arrays)
