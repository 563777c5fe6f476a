"""A decoder of the self-training family and its sampling of rare classes, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .making import Made, Rng, maker, normal, side


@maker("daformer_head_conv1")
def decoder(rng: Rng) -> Made:
    """Embeddings of another width than the fused map, of any number of feature maps."""
    channels, classes = [side(rng, 2, 9) for _ in range(side(rng, 2, 5))], side(rng, 2, 21)
    width, inner, batch = side(rng, 3, 9), side(rng, 3, 9), side(rng, 1, 3)
    size = (side(rng, 9, 20), side(rng, 9, 20))
    arrays: dict[str, Any] = {
        "param/conv_seg.weight": normal(rng, classes, width, 1, 1),
        "param/conv_seg.bias": normal(rng, classes),
    }
    parts: list[Tensor] = []
    for level, number in enumerate(channels):
        maps = normal(rng, batch, number, -(-size[0] // 2**level), -(-size[1] // 2**level))
        weight, bias, name = (
            normal(rng, inner, number),
            normal(rng, inner),
            f"param/embed_layers.{level}.proj",
        )
        arrays |= {f"in/feat{level}": maps, f"{name}.weight": weight, f"{name}.bias": bias}
        embedded = torch.einsum("oi,bihw->bohw", weight, maps) + bias[:, None, None]
        parts.append(functional.interpolate(embedded, size, mode="bilinear", align_corners=False))
    fused = normal(rng, width, inner * len(channels), 1, 1)
    mean, variance = normal(rng, width), (normal(rng, width).abs() + 0.5).float().double()
    scale, shift = normal(rng, width), normal(rng, width)
    norm = {"weight": scale, "bias": shift, "running_mean": mean, "running_var": variance}
    count = torch.tensor(7)
    arrays |= {"param/fuse_layer.conv.weight": fused}
    arrays |= {f"param/fuse_layer.bn.{name}": tensor.clone() for name, tensor in norm.items()}
    arrays["param/fuse_layer.bn.num_batches_tracked"] = count
    mixed = functional.conv2d(torch.cat(parts, dim=1), fused)

    def logits(mean: Tensor, variance: Tensor) -> Tensor:
        normed = (mixed - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        active = (normed * scale[:, None, None] + shift[:, None, None]).relu()
        return functional.conv2d(active, arrays["param/conv_seg.weight"], arrays["param/conv_seg.bias"])

    own = mixed.mean((0, 2, 3)), mixed.var((0, 2, 3), unbiased=False)
    unbiased, buffers = mixed.var((0, 2, 3), unbiased=True), "out/buffers_after_train_forward/fuse_layer.bn"
    arrays |= {
        "out/logits": logits(mean, variance),
        "out/logits_train_mode": logits(*own),
        f"{buffers}.running_mean": 0.9 * mean + 0.1 * own[0],
        f"{buffers}.running_var": 0.9 * variance + 0.1 * unbiased,
        f"{buffers}.num_batches_tracked": count + 1,
    }
    hyper = {
        "type": "DAFormerHead",
        "in_channels": channels,
        "channels": width,
        "dropout_ratio": 0.0,
        "num_classes": classes,
        "decoder_params": {
            "embed_dims": inner,
            "embed_neck_cfg": {"type": "mlp"},
            "fusion_cfg": {"type": "conv", "kernel_size": 1},
        },
    }
    return Made({"hyper_parameters": hyper, "tolerance": {"atol": 2e-5, "rtol": 1e-4}}, arrays)


@maker("rcs")
def rare_classes(rng: Rng) -> Made:
    """Other classes, temperatures and thresholds."""
    classes, files = side(rng, 2, 12), side(rng, 4, 9)
    least, temperatures = side(rng, 50, 400), [round(float(t), 2) for t in rng.uniform(0.05, 1.0, 2)]
    counts = rng.integers(1, 1000, (files, classes)) * rng.integers(1, 9, classes)
    counts[:, 0] += least
    stats = [
        {**{str(c): int(n) for c, n in enumerate(row)}, "file": f"any/{i:05d}_labelTrainIds.png"}
        for i, row in enumerate(counts)
    ]
    totals = counts.sum(axis=0)
    order = sorted(range(classes), key=lambda c: int(totals[c]))
    shares = totals[order] / totals.sum()
    arrays: dict[str, Any] = {}
    for temperature in temperatures:
        raw = np.exp((1 - shares - (1 - shares).max()) / temperature)
        arrays |= {
            f"out/T{temperature}/classes": np.array(order),
            f"out/T{temperature}/probabilities": raw / raw.sum(),
        }
    shown = {
        str(c): [f"{i:05d}_labelTrainIds.png" for i in range(files) if counts[i, c] > least]
        for c in range(classes)
    }
    pixels = [0, least // 4, least]
    script = {
        "min_crop_ratio": 0.5,
        "pixels_of_drawn_class_in_successive_crops": pixels,
        "source_loads": 3,
        "index_of_used_crop": 2,
        "pixels_in_used_crop": least,
    }
    content = {
        "hyper_parameters": {"min_pixels": least, "temperatures": temperatures},
        "inputs": {"sample_class_stats": stats},
        "outputs": {
            "eligible_files_per_class": {c: found for c, found in shown.items() if found},
            "scripted": {"third": script},
        },
        "tolerance": {"atol": 1e-6},
    }
    return Made(content, arrays)
