"""Networks of the self-training family on other sizes: encoder, decoder, HRDA's head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .making import Array, Made, Rng, label_map, maker, normal, rounds, side, single
from .plain_networks import (
    Config,
    Parameters,
    State,
    attended,
    attention_config,
    decode,
    decoder_config,
    encode,
    encoder_config,
    model_config,
    network,
    resized,
    segmented,
    slid,
    statistics_of,
    windows,
)

_TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}


@maker("mit_backbone")
def encoder(rng: Rng) -> Made:
    """Other widths, heads, depths, ratios, and sizes that are multiples of nothing."""
    config, parameters = encoder_config(rng), Parameters(rng)
    parameters.encoder(config)
    arrays: dict[str, Any] = {f"param/{name}": tensor for name, tensor in parameters.state.items()}
    for name in ("a", "b"):
        image = normal(rng, side(rng, 1, 3), 3, side(rng, 33, 70), side(rng, 33, 70))
        arrays[f"in/img_{name}"] = image
        maps = encode(parameters.state, image, config)
        arrays |= {f"out/{name}/feat{level}": features for level, features in enumerate(maps)}
    return Made({"hyper_parameters": config, "tolerance": _TOLERANCE}, arrays)


@maker("daformer_head_sepaspp")
def decoder(rng: Rng) -> Made:
    """Other dilations, widths and levels."""
    channels = [side(rng, 2, 7) for _ in range(side(rng, 2, 5))]
    config, parameters = decoder_config(rng, channels, side(rng, 2, 21)), Parameters(rng)
    parameters.decoder(config)
    maps = _levels(rng, side(rng, 2, 3), channels, (side(rng, 9, 16), side(rng, 9, 16)))
    before, after = dict(parameters.state), dict(parameters.state)
    return Made(
        {"hyper_parameters": config, "tolerance": _TOLERANCE},
        {
            **{f"param/{name}": tensor for name, tensor in before.items()},
            **{f"in/feat{level}": features for level, features in enumerate(maps)},
            "out/logits": decode(before, maps, config, training=False),
            "out/logits_train_mode": decode(after, maps, config, training=True),
            **{f"out/buffers_after_train_forward/{name}": after[name] for name in statistics_of(after)},
        },
    )


def _levels(rng: Rng, batch: int, channels: Sequence[int], size: Sequence[int]) -> list[Tensor]:
    """Feature maps, each of half the size of the one before."""
    return [
        normal(rng, batch, number, *(-(-side_ // 2**level) for side_ in size))
        for level, number in enumerate(channels)
    ]


def mean_entropy(logits: Tensor, label: Array, weight: Array | None) -> Tensor:
    """Cross entropy over all pixels; ignored ones count nothing but stay in the denominator."""
    known = torch.from_numpy(label != 255)
    ids = torch.from_numpy(np.where(label != 255, label, 0)).long()
    losses = -logits.log_softmax(1).gather(1, ids)[:, 0] * known[:, 0]
    return (losses if weight is None else losses * torch.from_numpy(weight)).mean()


def accuracy(logits: Tensor, label: Array) -> Tensor:
    """Percent of all pixels."""
    return 100 * (logits.argmax(1).numpy() == label[:, 0]).mean() * torch.ones((), dtype=torch.float64)


class Fusion:
    """HRDA's head on the features of a context and a detail crop, in training.

    Args:
        state: parameters, whose statistics move.
        head: configuration of the head.
        ratio: scale of the detail over that of the context.
        stride: pixels of the detail image per logit.
    """

    def __init__(self, state: State, head: Config, ratio: float, stride: int, prefix: str = "") -> None:
        self._state, self._head, self._prefix = state, head, prefix
        self._ratio, self._stride = ratio, stride

    def fused(
        self, context: Sequence[Tensor], detail: Sequence[Tensor], box: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fused logits, those of the context times (1 - attention), those of the detail, and the attention."""
        at = f"{self._prefix}head."
        lr = decode(self._state, context, self._head, True, at)
        hr = decode(self._state, detail, self._head, True, at)
        attention = attended(self._state, context, self._head, True, self._prefix)
        inside = torch.zeros(lr.shape[2:], dtype=torch.float64)
        top, bottom, left, right = (int(edge / (self._stride * self._ratio)) for edge in box)
        inside[top:bottom, left:right] = 1
        size = [round(n * self._ratio) for n in lr.shape[2:]]
        pasted = torch.zeros((*lr.shape[:2], *size), dtype=torch.float64)
        top, bottom, left, right = (int(edge / self._stride) for edge in box)
        pasted[:, :, top:bottom, left:right] = hr
        scaled = (1 - attention * inside) * lr
        fused = resized(attention * inside, size) * pasted + resized(scaled, size)
        return fused, scaled, hr, attention


def hrda_losses(
    logits: Sequence[Tensor], label: Array, weight: Array | None, box: Sequence[int], hr: float, lr: float
) -> dict[str, Tensor]:
    """Losses and accuracies of the fused, the context and the detail logits, of those that count."""
    rows, columns = slice(box[0], box[1]), slice(box[2], box[3])
    cropped = None if weight is None else weight[:, rows, columns]
    found = {}
    for name, share, maps, ids, weights in (
        ("", 1 - hr - lr, logits[0], label, weight),
        ("lr.", lr, logits[1], label, weight),
        ("hr.", hr, logits[2], label[..., rows, columns], cropped),
    ):
        if share > 0:
            full = resized(maps, ids.shape[2:])
            found[f"{name}loss_seg"] = share * mean_entropy(full, ids, weights)
            found[f"{name}acc_seg"] = accuracy(full, ids)
    return found


def hrda_head_config(rng: Rng, kind: str, classes: int) -> dict[str, Any]:
    """Of a DAFormer or DeepLab head with attention."""
    if kind == "dlv2":
        dilations = sorted(set(rng.integers(1, 7, side(rng, 1, 3)).tolist()))
        config = {"in_channels": side(rng, 3, 9), "in_index": side(rng, 1, 3), "dilations": dilations}
        config |= {"num_classes": classes, "single_scale_head": "DLV2Head"}
    else:
        config = decoder_config(rng, [side(rng, 2, 7) for _ in range(4)], classes)
        config |= {"single_scale_head": "DAFormerHead", "attention_embed_dim": side(rng, 2, 6)}
    config |= {"type": "HRDAHead", "attention_classwise": kind != "single"}
    return config | ({"fixed_attention": float(rng.uniform(0.2, 0.8))} if kind == "fixed" else {})


def _head_case(rng: Rng, kind: str) -> Made:
    classes, batch, stride = side(rng, 2, 9), side(rng, 1, 3), 8 if kind == "dlv2" else 4
    ratio = int(rng.choice([2, 4])) if kind == "classwise" else 2
    step, head, parameters = stride * ratio, hrda_head_config(rng, kind, classes), Parameters(rng)
    parameters.decoder(head, "head.")
    if kind != "fixed":
        parameters.decoder(attention_config(head), "scale_attention.")
    counts, inner = (side(rng, 4, 6), side(rng, 4, 6)), (side(rng, 2, 3), side(rng, 2, 3))
    size, crop = [step * n for n in counts], [step * n for n in inner]
    top, left = (step * side(rng, 0, n - m) for n, m in zip(counts, inner, strict=True))
    box = [top, top + crop[0], left, left + crop[1]]
    label = label_map(rng, (batch, 1, *size), classes, block=5)
    weight = rng.random((batch, *size)).astype(np.float32)
    maps = {
        "lr": _features(rng, head, batch, counts),
        "hr": _features(rng, head, batch, [n // stride for n in crop]),
    }
    arrays: dict[str, Any] = {f"param/{name}": tensor for name, tensor in parameters.state.items()}
    for scale, levels in maps.items():
        arrays |= {f"in/{scale}_feat{level}": features for level, features in levels.items()}
    arrays |= {
        "in/label": label.astype(np.uint8),
        "in/weight": weight,
        "in/crop_box_y1_y2_x1_x2": np.array(box),
    }
    pairs = [
        [round(float(rng.uniform(0.05, 0.4)), 2), 0.0],
        [0.0, 0.0],
        [0.2, round(float(rng.uniform(0.05, 0.4)), 2)],
    ]
    for hr_weight, lr_weight in pairs:
        for name, weights in (("weighted", weight), ("unweighted", None)):
            state = dict(parameters.state)
            lists = [[levels.get(i, torch.zeros(())) for i in range(4)] for levels in maps.values()]
            logits = Fusion(state, head, ratio, stride).fused(lists[0], lists[1], box)
            losses = hrda_losses(logits, label, weights, box, hr_weight, lr_weight)
            total = torch.stack([v for key, v in losses.items() if key.endswith("loss_seg")]).sum()
            at = f"out/hr{hr_weight}_lr{lr_weight}_{name}"
            arrays |= {f"{at}/{key}": value for key, value in losses.items()}
            arrays[f"{at}/total_loss"] = total
            inputs = {f"grad_{scale}_feat{i}": t for scale, levels in maps.items() for i, t in levels.items()}
            gradients = torch.autograd.grad(total, list(inputs.values()))
            arrays |= {f"{at}/{key}": g for key, g in zip(inputs, gradients, strict=True)}
    arrays |= {"out/fused": logits[0], "out/lr_after_attention": logits[1], "out/hr": logits[2]}
    if kind != "fixed":
        arrays["out/attention_sigmoid_lr_resolution"] = logits[3]
    arrays |= {f"out/buffers_after_train_forward/{key}": state[key] for key in statistics_of(state)}
    hyper = {
        "head": head,
        "output_stride": stride,
        "image_size": size,
        "crop_size": crop,
        "scales": [1 / ratio, 1],
        "loss_weight_pairs_hr_lr": pairs,
        "ignore_index": 255,
    }
    return Made({"hyper_parameters": hyper, "tolerance": _TOLERANCE}, arrays)


def _features(rng: Rng, head: Config, batch: int, size: Sequence[int]) -> dict[int, Tensor]:
    """The feature maps that a head reads, by their level."""
    if "decoder_params" not in head:
        return {head["in_index"]: normal(rng, batch, head["in_channels"], *size).requires_grad_()}
    levels = _levels(rng, batch, head["in_channels"], size)
    return {i: features.requires_grad_() for i, features in enumerate(levels)}


@maker("hrda_head_train_classwise")
def classwise(rng: Rng) -> Made:
    """Attention of every class, on scales that may be further apart."""
    return _head_case(rng, "classwise")


@maker("hrda_head_train_single")
def one_attention(rng: Rng) -> Made:
    """One attention for all classes."""
    return _head_case(rng, "single")


@maker("hrda_head_train_fixed_attention")
def fixed(rng: Rng) -> Made:
    """A constant attention."""
    return _head_case(rng, "fixed")


@maker("hrda_head_train_dlv2")
def deeplab(rng: Rng) -> Made:
    """The decoder of DeepLab, of another stride."""
    return _head_case(rng, "dlv2")


def _sensitive(state: State, image: Tensor, model: Config) -> bool:
    """Whether rounding changes batch-normed logits by much; such networks are drawn again."""
    exact = segmented(dict(state), image, model, training=True)
    return rounds(segmented(single(state), image.float(), model, training=True), exact, _TOLERANCE)


def _inference(rng: Rng, two_scales: bool) -> Made:
    classes, batch = side(rng, 2, 6), side(rng, 1, 2)
    window = [16 * side(rng, 2, 3), 16 * side(rng, 2, 3)]
    detail = [16 * side(rng, 1, n // 16 - 1) for n in window]
    while True:
        model = model_config(rng, classes, two_scales, detail)
        state, crop = network(rng, model), normal(rng, batch, 3, *window)
        if not _sensitive(state, crop, model):
            break
    size = [n + side(rng, 1, n // 2) for n in window]
    stride, original = [side(rng, n // 2, n) for n in window], [n - side(rng, 3, 9) for n in size]
    image = normal(rng, batch, 3, *size)
    arrays: dict[str, Any] = {f"param/{name}": tensor for name, tensor in state.items()}
    arrays |= {"in/img": image, "in/img_crop_sized": crop}

    def whole(seen: Tensor, of: State = state, **changes: Any) -> Tensor:
        return resized(segmented(of, seen, model, **changes), seen.shape[2:])

    moving = dict(state)
    arrays["out/encode_decode_eval"] = whole(crop)
    arrays["out/encode_decode_bn_train_mode"] = whole(crop, moving, training=True)
    arrays |= {f"out/buffers_after_bn_train_mode/{name}": moving[name] for name in statistics_of(moving)}
    if two_scales:
        arrays["out/encode_decode_eval_not_overlapping_stride2"] = whole(crop, step=1.0)[..., ::2, ::2]
        arrays["out/encode_decode_eval_blur_hr_crop"] = whole(crop, blur=True)
    places = windows(size, window, stride)
    logits, mirrored = (slid(seen, places, whole) for seen in (image, image.flip(3)))
    softmax, flipped, rescaled = (
        logits.softmax(1),
        mirrored.softmax(1).flip(3),
        resized(logits, original).softmax(1),
    )
    smallest = image[:, :, : window[0], : window[1]]
    arrays |= {
        "out/slide_softmax": softmax,
        "out/slide_softmax_rescaled_stride3": rescaled[..., ::3, ::3],
        "out/slide_argmax_rescaled": rescaled.argmax(1).to(torch.uint8),
        "out/slide_flip_meta_first_row": flipped[:, :, 0],
        "out/slide_softmax_two_flip_average_argmax": (softmax + flipped).argmax(1).to(torch.uint8),
        "out/whole_argmax": whole(smallest).argmax(1).to(torch.uint8),
    }
    test = {"mode": "slide", "stride": stride, "crop_size": window}
    hyper = {"model": model, "test_cfg": test, "image_size": size, "ori_shape": original}
    tolerance = {**_TOLERANCE, "argmax": "compare where the top-2 gap exceeds 2e-4"}
    return Made({"hyper_parameters": hyper, "tolerance": tolerance}, arrays)


@maker("daformer_inference", count=2)
def one_scale_inference(rng: Rng) -> Made:
    """Windows, strides, flips and rescaling of a network on one scale."""
    return _inference(rng, two_scales=False)


@maker("hrda_inference", count=2)
def two_scale_inference(rng: Rng) -> Made:
    """The same of HRDA, whose detail is seen in windows of its own."""
    return _inference(rng, two_scales=True)


def _converted(rng: Rng, two_scales: bool) -> Made:
    """Student, teacher and ImageNet encoder in one checkpoint, of which one is evaluated."""
    window, classes = [16 * side(rng, 2, 3), 16 * side(rng, 2, 3)], side(rng, 2, 6)
    detail = [16 * side(rng, 1, n // 16 - 1) for n in window]
    model = model_config(rng, classes, two_scales, detail)
    size, stride = [n + side(rng, 1, n // 2) for n in window], [side(rng, n // 2, n) for n in window]
    model["test_cfg"] = {"mode": "slide", "stride": stride, "crop_size": window}
    crop, image = normal(rng, 1, 3, *window), normal(rng, side(rng, 1, 2), 3, *size)
    owners = ["model.", "ema_model.", "imnet_model."]
    used = owners[side(rng, 0, 1)]
    while True:
        states = {owner: network(rng, model) for owner in owners}
        if not _sensitive(states[used], crop, model):
            break

    def whole(seen: Tensor) -> Tensor:
        return resized(segmented(states[used], seen, model), seen.shape[2:])

    softmax = slid(image, windows(size, window, stride), whole).softmax(1)
    tolerance = {**_TOLERANCE, "argmax": "compare where the top-2 gap exceeds 2e-4"}
    facts = {
        "used_weights": f"{used} (made up)",
        "checkpoint_layout": "dict with meta, state_dict, optimizer",
    }
    tensors = {f"ckpt/{owner}{name}": t for owner, state in states.items() for name, t in state.items()}
    return Made(
        {"hyper_parameters": {"model": model}, "facts": facts, "tolerance": tolerance},
        {
            **tensors,
            "in/img": image,
            "in/img_crop_sized": crop,
            "out/logits": whole(crop),
            "out/slide_softmax_stride2": softmax[..., ::2, ::2],
            "out/slide_argmax": softmax.argmax(1).to(torch.uint8),
        },
    )


@maker("converted_forward_daformer", count=2)
def converted_on_one_scale(rng: Rng) -> Made:
    """Checkpoints of other networks, of which student or teacher is used."""
    return _converted(rng, two_scales=False)


@maker("converted_forward_hrda", count=2)
def converted_on_two_scales(rng: Rng) -> Made:
    """The same of HRDA."""
    return _converted(rng, two_scales=True)


def _rescaled(state: State) -> State:
    """Statistics of a teacher that were never those of the student."""
    return {
        name: state[name] + 1 if name.endswith("tracked") else (state[name] * 1.5).float().double()
        for name in statistics_of(state)
    }


@maker("teacher_mode")
def teacher(rng: Rng) -> Made:
    """Statistics of other batches, with other dropout, means and deviations."""
    batch, size = side(rng, 2, 3), (side(rng, 33, 60), side(rng, 33, 60))
    mean, std = rng.uniform(90, 130, 3).astype(np.float32), rng.uniform(40, 70, 3).astype(np.float32)
    model = model_config(rng, side(rng, 2, 9), two_scales=False)
    state = network(rng, model)
    statistics = _rescaled(state)
    levels = rng.integers(0, 256, (batch, 3, *size)).astype(np.uint8)
    image = torch.from_numpy((levels - mean[:, None, None]) / std[:, None, None]).float().double()
    moving = state | statistics
    untouched = resized(segmented(moving, image, model), size)
    used = resized(segmented(moving, image, model, training=True), size)
    on, off = [True], [False]
    labelling = {"Dropout": off, "DropPath": off, "BatchNorm": on, "root": on}
    everywhere = {"Dropout": on, "DropPath": on, "BatchNorm": on, "root": on}
    facts = {
        "teacher_training_flags_during_pseudo_labelling": labelling,
        "student_training_flags_at_that_time": everywhere,
        "teacher_flags_after_the_next_train_call": everywhere,
        "teacher_logits_require_grad": False,
    }
    arrays = {
        **{f"param/model.{name}": tensor for name, tensor in state.items()},
        **{f"param/ema_model.{name}": tensor for name, tensor in statistics.items()},
        "in/target_img_u8": levels,
        "out/teacher_logits_as_used": used,
        "out/teacher_logits_if_it_were_in_eval_mode_stride3": untouched[..., ::3, ::3],
        **{f"out/teacher_buffers_after_first_iteration/{name}": moving[name] for name in statistics},
    }
    rates = {"dropout_ratio": 0.3, "drop_path_rate": 0.2, "mean": mean.tolist(), "std": std.tolist()}
    content = {"hyper_parameters": {"model": model, **rates}, "facts": facts}
    return Made({**content, "tolerance": _TOLERANCE}, arrays)


def _styles(maps: Tensor) -> Tensor:
    """Means and deviations of the channels. Shape: ``(B, C, h, w)`` to ``(B, 2, C)``."""
    flat = maps.flatten(2)
    return torch.stack([flat.mean(2), flat.std(2, unbiased=True) + 1e-7], dim=1)


def _farthest(styles: Tensor, number: int, start: int) -> list[int]:
    """One after the other that which is farthest from all chosen ones."""
    points, chosen = styles.flatten(1), [start]
    while len(chosen) < number:
        nearest = torch.stack([((points - points[i]) ** 2).sum(1) for i in chosen]).min(0).values
        chosen.append(int(nearest.argmax()))
    return chosen


@maker("dg_style_bank")
def style_bank(rng: Rng) -> Made:
    """Other encoders, numbers of styles, scales, batches, means and deviations."""
    config, parameters = encoder_config(rng), Parameters(rng)
    parameters.encoder(config, "backbone.")
    first = ("backbone.patch_embed1.", "backbone.block1.", "backbone.norm1.")
    scale, batch = float(rng.choice([0.5, 0.75])), side(rng, 1, 3)
    mean, std = rng.uniform(90, 130, 3).astype(np.float32), rng.uniform(40, 70, 3).astype(np.float32)

    def stage(seen: Tensor) -> Tensor:
        return encode(parameters.state, seen, config, "backbone.")[0]

    image = normal(rng, side(rng, 1, 2), 3, 4 * side(rng, 12, 18), 4 * side(rng, 12, 18))
    styles = normal(rng, side(rng, 9, 16), 2, config["embed_dims"][0])
    levels = rng.integers(0, 256, (batch * side(rng, 2, 3), 3, 48, 48)).astype(np.uint8)
    frames = torch.from_numpy((levels - mean[:, None, None]) / std[:, None, None]).float().double()
    found = _styles(stage(frames))
    starts, numbers = (side(rng, 0, 8), side(rng, 0, 1)), (side(rng, 2, 8), side(rng, 2, len(levels)))
    chosen = _farthest(styles, numbers[0], starts[0])
    refreshed = found[_farthest(found, numbers[1], starts[1])]
    maps = stage(image)
    arrays = {
        **{f"param/{name}": t for name, t in parameters.state.items() if name.startswith(first)},
        "in/img": image,
        "in/styles": styles,
        "in/start_index": np.array(starts[0]),
        "in/hook_img_u8": levels,
        "in/hook_start_index": np.array(starts[1]),
        "out/stage1_features": maps,
        "out/style_mean_std": _styles(maps),
        "out/style_mean_std_hrda_lr_scale": _styles(
            stage(resized(image, [int(scale * n) for n in image.shape[2:]]))
        ),
        "out/chosen_indices": np.array(chosen),
        "out/proto_mean": styles[chosen][:, 0],
        "out/proto_std": styles[chosen][:, 1],
        "out/hook_proto_mean": refreshed[:, 0],
        "out/hook_proto_std": refreshed[:, 1],
    }
    content = {
        "computes": f"resized by the feature scale ({scale}); refresh in (batches of {batch}, any order)",
        "hyper_parameters": {"mean": mean.tolist(), "std": std.tolist()},
        "tolerance": {"atol": 1e-5, "chosen_indices": "exact"},
    }
    return Made(content, arrays)
