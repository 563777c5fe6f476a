"""Parts of the self-training family, made by loops and formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from .making import Array, Made, Rng, label_map, maker, normal, side


@maker("ema")
def ema(rng: Rng) -> Made:
    """Averages with other alphas, seen at other iterations."""
    alphas = [round(float(a), 3) for a in rng.uniform(0.3, 0.995, side(rng, 1, 3))]
    iterations = sorted({0, *rng.integers(1, 40, 5).tolist()})
    shapes = {"w": (side(rng, 2, 5), 3), "n.running_mean": (side(rng, 1, 4),)}
    arrays: dict[str, Any] = {}
    for alpha in alphas:
        for name, shape in shapes.items():
            teacher = normal(rng, *shape)
            students = normal(rng, len(iterations), *shape)
            arrays[f"in/alpha{alpha}/teacher_before_init/{name}"] = teacher
            arrays[f"in/alpha{alpha}/student/{name}"] = students
            states = []
            for student, t in zip(students, iterations, strict=True):
                if not name.endswith("running_mean"):
                    share = min(1 - 1 / (t + 1), alpha)
                    teacher = student if t == 0 else share * teacher + (1 - share) * student
                states.append(teacher)
            arrays[f"out/alpha{alpha}/teacher/{name}"] = torch.stack(states)
    hyper = {"alphas": alphas, "iteration_indices": iterations}
    return Made({"hyper_parameters": hyper, "tolerance": {"atol": 1e-6}}, arrays)


@maker("pseudo_label")
def pseudo_label(rng: Rng) -> Made:
    """Shares of confident pixels of another number of images and classes."""
    batch, classes, height, width = side(rng, 1, 4), side(rng, 2, 23), side(rng, 9, 30), side(rng, 9, 40)
    logits, threshold = normal(rng, batch, classes, height, width, scale=3.0), float(rng.uniform(0.4, 0.9))
    probability = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    share = float((probability.amax(1) >= threshold).double().mean())
    top, bottom = side(rng, 0, 3), side(rng, 1, 4)
    mask = rng.integers(0, 2, (batch, 1, height, width)).astype(np.uint8)
    weight = np.full((batch, height, width), share)
    cut = weight.copy()
    cut[:, :top] = 0
    cut[:, height - bottom :] = 0
    hyper = {
        "pseudo_threshold": threshold,
        "pseudo_weight_ignore_top": top,
        "pseudo_weight_ignore_bottom": bottom,
        "num_classes": classes,
    }
    arrays = {
        "in/logits": logits,
        "in/valid_pseudo_mask": mask,
        "out/pseudo_label": probability.argmax(1).numpy().astype(np.uint8),
        "out/plain/pseudo_weight": weight,
        "out/valid_mask/pseudo_weight": weight * mask[:, 0],
        "out/ignore_top_bottom/pseudo_weight": cut,
    }
    tolerance = {"atol": 1e-7, "pseudo_label": "exact"}
    return Made({"hyper_parameters": hyper, "tolerance": tolerance, "facts": {}}, arrays)


@maker("class_mix")
def class_mix(rng: Rng) -> Made:
    """Mixes of one to four samples."""
    batch, height, width = side(rng, 1, 4), side(rng, 8, 20), side(rng, 8, 20)
    label = label_map(rng, (batch, 1, height, width), side(rng, 3, 12))
    source, target = normal(rng, batch, 3, height, width), normal(rng, batch, 3, height, width)
    pseudo, weight = label_map(rng, (batch, height, width), 9, ignore=0), rng.random((batch, height, width))
    weight = weight.astype(np.float32)
    values = np.unique(label)
    number = math.ceil(len(values) / 2)
    choices = [rng.permutation(len(values))[:number] for _ in range(batch)]
    second = rng.permutation(len(values))[:number]

    def mixed(drawn: list[Array]) -> tuple[Array, Array, Array, Array]:
        mask = np.stack([np.isin(label[i], values[chosen]) for i, chosen in enumerate(drawn)])
        image = np.where(mask, source.numpy(), target.numpy())
        return mask, image, np.where(mask, label, pseudo[:, None]), np.where(mask[:, 0], 1.0, weight)

    mask, image, ids, weights = mixed(choices)
    again = mixed([second, *choices[:-1]])
    arrays = {
        "in/label": label.astype(np.uint8),
        "in/source_img": source,
        "in/target_img": target,
        "in/pseudo_label": pseudo.astype(np.uint8),
        "in/pseudo_weight": weight,
        "in/classes_sorted_unique_of_whole_batch": values,
        "in/second_draw_indices_sample0": second,
        **{f"in/chosen_indices_{i}": chosen for i, chosen in enumerate(choices)},
        **{f"in/chosen_class_ids_{i}": values[chosen] for i, chosen in enumerate(choices)},
        "out/mask": mask.astype(np.uint8),
        "out/mixed_img": image,
        "out/mixed_label": ids.astype(np.uint8),
        "out/mixed_weight": weights,
        "out/second_draw/mask": again[0].astype(np.uint8),
        "out/second_draw/mixed_label_sample0": again[2][:1].astype(np.uint8),
    }
    return Made({"hyper_parameters": {}, "tolerance": {"atol": 1e-6}, "facts": {}}, arrays)


def blurred(image: Array, sigma: float) -> Array:
    """Along both axes, mirrored at the border. Shape: ``(B, 3, H, W)``."""
    for axis in (2, 3):
        length = math.ceil(0.1 * image.shape[axis])
        half = (length - 1 if length % 2 == 0 else length) // 2
        taps = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
        taps /= taps.sum()
        padding = [(half, half) if a == axis else (0, 0) for a in range(4)]
        padded = np.pad(image, padding, mode="reflect")
        shifted = [
            np.take(padded, np.arange(k, k + image.shape[axis]), axis=axis) for k in range(2 * half + 1)
        ]
        image = sum(tap * part for tap, part in zip(taps, shifted, strict=True))
    return image


@maker("gaussian_blur")
def gaussian_blur(rng: Rng) -> Made:
    """Blurred pixel by pixel, mirrored at the border without its own pixel."""
    arrays: dict[str, Any] = {}
    for index in range(side(rng, 1, 2)):
        shape = (side(rng, 1, 2), 3, side(rng, 21, 44), side(rng, 21, 44))
        image, sigma = normal(rng, *shape), float(np.float32(rng.uniform(0.15, 1.15)))
        arrays |= {f"in/img{index}": image, f"in/sigma{index}": np.float32(sigma)}
        arrays[f"out/blurred{index}"] = blurred(image.numpy(), sigma)
    return Made({"hyper_parameters": {}, "tolerance": {"atol": 1e-5}, "facts": {}}, arrays)


@maker("mic_mask")
def mic_mask(rng: Rng) -> Made:
    """Masks with other blocks and ratios."""
    cases, arrays = [], {}
    for index in range(side(rng, 1, 3)):
        batch, block, ratio = side(rng, 1, 4), side(rng, 3, 20), float(rng.uniform(0.1, 0.9))
        size = (side(rng, 21, 70), side(rng, 21, 70))
        grid = [round(length / block) for length in size]
        draws = rng.random((batch, 1, *grid), dtype=np.float32)
        rows, columns = (
            np.arange(length) * count // length for length, count in zip(size, grid, strict=True)
        )
        mask = (draws > ratio)[:, :, rows][..., columns]
        image = normal(rng, batch, 3, *size)
        facts = {
            "index": index,
            "image": [batch, 3, *size],
            "block": block,
            "ratio": ratio,
            "draws_shape": [batch, 1, *grid],
            "kept_fraction": float(mask.mean()),
        }
        cases.append(facts)
        arrays |= {f"in/uniform_draws{index}": draws, f"out/mask{index}": mask.astype(np.uint8)}
        arrays |= {f"in/img{index}": image, f"out/masked_img{index}": image.numpy() * mask}
    tolerance = {"mask": "exact", "img": 1e-7}
    return Made({"hyper_parameters": {"cases": cases}, "tolerance": tolerance}, arrays)


@maker("label_downscale")
def label_downscale(rng: Rng) -> Made:
    """Blocks counted one by one."""
    cases, arrays = [], {}
    for index in range(side(rng, 1, 3)):
        factor, classes, ratio = side(rng, 2, 9), side(rng, 2, 20), float(rng.uniform(0.2, 0.8))
        size = (side(rng, factor, 40), side(rng, factor, 40))
        label = label_map(rng, (side(rng, 1, 3), 1, *size), classes, block=side(rng, 2, 7))
        rows, columns = size[0] // factor, size[1] // factor
        coarse = np.full((len(label), 1, rows, columns), 255)
        for b, y, x in np.ndindex(len(label), rows, columns):
            block = label[b, 0, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
            counts = [int((block == c).sum()) for c in [*range(classes), 255]]
            winner = int(np.argmax(counts))
            if winner < classes and np.float32(counts[winner] / factor**2) >= ratio:
                coarse[b, 0, y, x] = winner
        facts = {"index": index, "scale_factor": factor, "min_ratio": ratio, "num_classes": classes}
        cases.append({**facts, "kept": int((coarse != 255).sum()), "total": coarse.size})
        arrays |= {f"in/label{index}": label.astype(np.uint8), f"out/label{index}": coarse.astype(np.uint8)}
    return Made(
        {"hyper_parameters": {"ignore_index": 255, "cases": cases}, "tolerance": {"exact": True}}, arrays
    )


@maker("lr_schedule")
def lr_schedule(rng: Rng) -> Made:
    """The formula of decay and warm-up, with another power and a rate at which the decay ends."""
    total, warmup = side(rng, 40, 90), side(rng, 0, 30)
    rate, lowest = float(rng.uniform(1e-4, 1e-2)), float(rng.choice([0.0, 3e-5]))
    power, start, factor = float(rng.choice([0.9, 1.0, 2.0])), float(rng.uniform(1e-6, 0.4)), side(rng, 1, 10)
    decay, seen = float(rng.uniform(0, 0.1)), np.arange(0, total, 3)

    def schedule(base: float) -> Array:
        warm = start + (1 - start) * np.minimum(seen / warmup, 1) if warmup else 1.0
        return ((base - lowest) * (1 - seen / total) ** power + lowest) * warm

    betas = [0.8, 0.95]
    keys = {"head": {"lr_mult": float(factor)}, "norm": {"decay_mult": 0.0}}
    hyper = {
        "optimizer": {
            "type": "AdamW",
            "lr": rate,
            "betas": betas,
            "weight_decay": decay,
            "paramwise_cfg": {"custom_keys": keys},
        },
        "eps": 1e-7,
        "policy": f"poly power {power} min_lr {lowest}",
        "warmup": "linear",
        "warmup_iters": warmup,
        "warmup_ratio": start,
        "max_iters": total,
    }
    table = [["backbone.a.weight", 1.0, decay], ["backbone.norm1.bias", 1.0, 0.0]]
    table.append(["decode_head.norm.weight", float(factor), decay])
    arrays = {
        "in/iterations": seen,
        "out/lr_backbone": schedule(rate),
        "out/lr_head": schedule(rate * factor),
    }
    content = {
        "hyper_parameters": hyper,
        "tolerance": {"rtol": 1e-9},
        "outputs": {"param_groups_name_lrmult_weightdecay": {"made up": table}},
        "kept_in_float64": list(arrays),
    }
    return Made(content, arrays)


@maker("dg_style_consistency")
def style_consistency(rng: Rng) -> Made:
    """Divergence of both halves from their mean, written out."""
    half, classes = side(rng, 1, 3), side(rng, 2, 21)
    logits = normal(rng, 2 * half, classes, side(rng, 3, 9), side(rng, 3, 9)).requires_grad_()
    first, second = logits.softmax(1).split(half)
    mean = ((first + second) / 2).clamp(1e-7, 1).log()
    parts = [(p * (p.log() - mean)).sum(1).mean() for p in (first, second)]
    weight = float(rng.uniform(0.5, 20))
    loss = weight * (parts[0] + parts[1]) / 2
    (gradient,) = torch.autograd.grad(loss, logits)
    hyper = {"style_consistency_lambda": weight, "num_classes": classes}
    arrays = {"in/logits": logits, "out/loss": loss, "out/grad_logits": gradient}
    return Made({"hyper_parameters": hyper, "tolerance": {"rtol": 1e-5, "atol": 1e-7}}, arrays)


@maker("dg_style_hallucination")
def style_hallucination(rng: Rng) -> Made:
    """Other numbers of styles than channels."""
    batch, channels, styles = side(rng, 1, 3), side(rng, 3, 9), side(rng, 2, 12)
    features = normal(rng, batch, channels, side(rng, 4, 9), side(rng, 4, 9)).requires_grad_()
    means, stds = normal(rng, styles, channels), normal(rng, styles, channels).abs() + 0.1
    stds = stds.float().double()
    upstream = normal(rng, *features.shape)
    arrays: dict[str, Any] = {
        "in/x": features,
        "in/proto_mean": means,
        "in/proto_std": stds,
        "in/upstream_gradient_of_styled": upstream,
    }
    for name in ("dirichlet", "smooth"):
        weights = torch.from_numpy(rng.dirichlet(np.ones(styles), batch).astype(np.float32)).double()
        flat = features.detach().flatten(2)
        mean, std = flat.mean(2)[..., None, None], (flat.std(2, unbiased=True) + 1e-7)[..., None, None]
        new_std, new_mean = ((weights @ part)[..., None, None] for part in (stds, means))
        styled = (features - mean) / std * new_std + new_mean
        (gradient,) = torch.autograd.grad(styled, features, upstream)
        arrays |= {
            f"in/weights_{name}": weights,
            f"out/{name}/styled": styled,
            f"out/{name}/grad_x": gradient,
        }
    hyper = {"concentration_coeff": 1 / styles, "base_style_num": styles, "style_dim": channels}
    return Made({"hyper_parameters": hyper, "tolerance": {"atol": 1e-5}}, arrays)


@maker("hrda_crop_box")
def crop_box(rng: Rng) -> Made:
    """Boxes in other steps."""
    cases, arrays = [], {}
    for index in range(2):
        step, crop = int(rng.choice([1, 2, 4, 16])), [side(rng, 2, 6) * 16, side(rng, 2, 6) * 16]
        image = [length + side(rng, step, 90) for length in crop]
        counts = [(i - c + 1) // step for i, c in zip(image, crop, strict=True)]
        state, seed = np.random.RandomState(1000 + index), 1000 + index
        boxes = []
        for _ in range(5):
            top, left = (int(state.randint(0, count)) * step for count in counts)
            boxes.append([top, top + crop[0], left, left + crop[1]])
        facts = {"index": index, "image": image, "crop": crop, "divisible": step, "result": "ok"}
        largest = [(count - 1) * step for count in counts]
        facts |= {"largest_offsets": largest, "distinct_offsets": counts, "numpy_legacy_seed": seed}
        cases.append(facts)
        arrays[f"out/first_boxes_y1_y2_x1_x2_{index}"] = np.array(boxes)
    facts = {"rescaling": [], "full_size_draws_nothing": True}
    content = {"hyper_parameters": {"cases": cases}, "facts": facts, "tolerance": {"exact": True}}
    return Made(content, arrays)


@maker("dlv2_head")
def deeplab_head(rng: Rng) -> Made:
    """Sums of dilated convolutions of another feature map."""
    channels, classes, index = side(rng, 2, 9), side(rng, 2, 20), side(rng, 0, 3)
    dilations = sorted(set(rng.integers(1, 9, side(rng, 1, 4)).tolist()))
    features = normal(rng, side(rng, 1, 3), channels, side(rng, 5, 14), side(rng, 5, 14))
    logits, arrays = torch.zeros(()), {f"in/feat{index}": features}
    for branch, dilation in enumerate(dilations):
        weight, bias = normal(rng, classes, channels, 3, 3, scale=0.3), normal(rng, classes)
        arrays |= {f"param/aspp_modules.{branch}.conv.weight": weight}
        arrays |= {f"param/aspp_modules.{branch}.conv.bias": bias}
        convolved = torch.nn.functional.conv2d(features, weight, bias, padding=dilation, dilation=dilation)
        logits = logits + convolved
    arrays |= {"out/logits": logits, "out/logits_train_mode": logits}
    hyper = {"in_channels": channels, "in_index": index, "dilations": dilations, "num_classes": classes}
    return Made({"hyper_parameters": hyper, "tolerance": {"atol": 2e-5, "rtol": 1e-4}}, arrays)
