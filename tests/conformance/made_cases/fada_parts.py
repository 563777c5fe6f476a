"""Losses of FADA, how it labels the target, and what its loaders do, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .adversarial import classes_judged
from .adversarial_trajectories import branches, classified, extractor
from .making import Array, Made, Rng, label_map, maker, normal, side

_LOOSE = {"rtol": 1e-4, "atol": 1e-5}
_DILATIONS = (6, 12, 18, 24)

Named = dict[str, Tensor]


def _classifier(rng: Rng, channels: int, classes: int) -> tuple[list[tuple[Tensor, Tensor]], Named]:
    pairs = branches(rng, channels, classes, len(_DILATIONS))
    named = {
        f"conv2d_list.{i}.{kind}": tensor
        for i, pair in enumerate(pairs)
        for kind, tensor in zip(("weight", "bias"), pair, strict=True)
    }
    return pairs, named


def _discriminator(rng: Rng, channels: int, classes: int, width: int) -> Named:
    shapes = {"D.0": (width, channels), "D.2": (width // 2, width)}
    named: Named = {}
    for name, shape in (shapes | dict.fromkeys(("cls1", "cls2"), (classes, width // 2))).items():
        named[f"{name}.weight"] = normal(rng, *shape, 3, 3, scale=0.3).requires_grad_()
        named[f"{name}.bias"] = normal(rng, shape[0], scale=0.3).requires_grad_()
    return named


def _judged(named: Named, features: Tensor, size: tuple[int, int]) -> Tensor:
    """Logarithms of the probabilities of all classes of both domains."""
    return _resized(classes_judged(named, features), size).log_softmax(1)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=True)


def _gradients(prefix: str, loss: Tensor, tensors: Named) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(tensors.values()), retain_graph=True)
    return {f"{prefix}{name}": gradient for name, gradient in zip(tensors, found, strict=True)}


@maker("fada_losses")
def losses(rng: Rng) -> Made:
    """Other temperatures, clips, weights, sizes, classes and ignore values."""
    channels, classes, batch, width = side(rng, 2, 8), side(rng, 2, 8), side(rng, 1, 3), 2 * side(rng, 2, 5)
    hyper: dict[str, Any] = {
        "in_channels": channels,
        "ndf": width,
        "num_classes": classes,
        "src_size": [side(rng, 20, 40), side(rng, 20, 40)],
        "tgt_size": [side(rng, 20, 40), side(rng, 20, 40)],
        "temperature": float(rng.uniform(0.5, 3)),
        "clip": float(np.float32(rng.uniform(0.3, 0.9))),
        "lambda_adv": float(rng.uniform(0.01, 1)),
        "d_factor": float(rng.uniform(0.2, 1)),
        "ignore_label": int(rng.choice([255, 77])),
    }
    pairs, named = _classifier(rng, channels, classes)
    judge = _discriminator(rng, channels, classes, width)
    sizes = {key: (hyper[f"{key}_size"][0], hyper[f"{key}_size"][1]) for key in ("src", "tgt")}
    maps = {
        key: normal(rng, batch, channels, side(rng, 4, 7), side(rng, 4, 7)).requires_grad_() for key in sizes
    }
    label = label_map(rng, (batch, *sizes["src"]), classes, hyper["ignore_label"])
    weights = rng.random((batch, *sizes["tgt"])).astype(np.float32)
    scaled = {
        key: _resized(classified(pairs, _DILATIONS, maps[key]), size) / hyper["temperature"]
        for key, size in sizes.items()
    }
    target = torch.from_numpy(label)
    seg = functional.cross_entropy(scaled["src"], target, ignore_index=hyper["ignore_label"])
    probability = {key: logits.detach().softmax(1) for key, logits in scaled.items()}
    soft = {key: values.clamp(max=hyper["clip"]) for key, values in probability.items()}
    entropy = -(soft["tgt"] * _judged(judge, maps["tgt"], sizes["tgt"])[:, :classes]).sum(1)
    deceived = hyper["lambda_adv"] * entropy.mean()
    known = {
        "src": -(soft["src"] * _judged(judge, maps["src"].detach(), sizes["src"])[:, :classes]).sum(1).mean(),
        "tgt": -(soft["tgt"] * _judged(judge, maps["tgt"].detach(), sizes["tgt"])[:, classes:]).sum(1).mean(),
    }
    trained = {"src_feature": maps["src"], **{f"classifier/{name}": t for name, t in named.items()}}
    arrays: dict[str, Any] = {
        **{f"param/classifier/{name}": tensor for name, tensor in named.items()},
        **{f"param/discriminator/{name}": tensor for name, tensor in judge.items()},
        **{f"in/{key}_feature": features for key, features in maps.items()},
        "in/src_label": label.astype(np.uint8),
        "in/pixel_weights": weights,
        "out/loss_seg": seg,
        **_gradients("out/grad_seg/", seg, trained),
        **{f"out/{key}_soft_label": values for key, values in soft.items()},
        "out/clipped_fraction": torch.stack(
            [(values >= hyper["clip"]).any(1).double().mean() for values in probability.values()]
        ),
        "out/loss_adv_tgt": deceived,
        "out/soft_label_cross_entropy_pixel_weighted": (entropy * torch.from_numpy(weights)).mean(),
        **_gradients("out/grad_adv/", deceived, {"tgt_feature": maps["tgt"]}),
        **_gradients("out/grad_adv_discarded/discriminator/", deceived, judge),
    }
    for key, loss in known.items():
        arrays[f"out/loss_D_{key}"] = hyper["d_factor"] * loss
        arrays |= _gradients(f"out/grad_D_{key}/", hyper["d_factor"] * loss, judge)
    return Made({"hyper_parameters": hyper, "tolerance": _LOOSE}, arrays)


def _tested(state: Named, image: Tensor) -> Tensor:
    """The last features of the tiny extractor, whose frozen norms have no epsilon."""
    for i in (1, 2):
        image = functional.conv2d(image, state[f"conv{i}.weight"], stride=2, padding=1)
        mean, variance, weight, bias = (
            state[f"bn{i}.{name}"][:, None, None]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        image = ((image - mean) / variance.sqrt() * weight + bias).relu()
    image = functional.conv2d(image, state["conv3.weight"], state["conv3.bias"], stride=2, padding=1).relu()
    return functional.conv2d(image, state["conv4.weight"], state["conv4.bias"], padding=2, dilation=2).relu()


@maker("fada_self_distill_inference")
def inference(rng: Rng) -> Made:
    """Other sizes of images and labels, classes and scales."""
    widths, classes = [side(rng, 3, 8) for _ in range(4)], side(rng, 2, 8)
    size, full = (side(rng, 24, 44), side(rng, 24, 44)), (side(rng, 40, 70), side(rng, 40, 70))
    scales = [round(float(s), 2) for s in rng.uniform(0.6, 1.5, side(rng, 1, 3))]
    state = extractor(rng, widths, trained_norms=False, counted=False)
    pairs, named = _classifier(rng, widths[3], classes)
    image = normal(rng, 1, 3, *size)

    def seen(shown: Tensor) -> Tensor:
        return _resized(classified(pairs, _DILATIONS, _tested(state, shown)), full).softmax(1)

    def both(shown: Tensor) -> Tensor:
        return (seen(shown) + seen(shown.flip(3)).flip(3)) / 2

    several = [_resized(image, (int(size[0] * s), int(size[1] * s))) for s in scales]
    probability = seen(image)
    label = probability.argmax(1)[0].to(torch.uint8)
    arrays = {
        **{f"param/feature_extractor/{name}": tensor for name, tensor in state.items()},
        **{f"param/classifier/{name}": tensor for name, tensor in named.items()},
        "in/image": image,
        "out/prob": probability,
        "out/prob_flip": both(image),
        "out/prob_multiscale_flip": torch.stack([both(shown) for shown in several]).mean(0),
        "out/prob_multiscale_per_class_mean": torch.stack([seen(s) for s in several]).mean((0, 3, 4)),
        "out/pseudo_label": label,
        "out/pseudo_label_png_index": label,
    }
    hyper = {"widths": widths, "norm": "frozen", "num_classes": classes}
    hyper |= {"image_size": list(size), "label_size": list(full), "scales": scales}
    sentence = "identical except where the two best probabilities differ by less than 2e-6"
    return Made({"hyper_parameters": hyper, "tolerance": {**_LOOSE, "argmax": sentence}}, arrays)


@maker("fada_input_pipeline")
def loaders(rng: Rng) -> Made:
    """Other sizes, scales, means and deviations."""
    shape, resize = (side(rng, 30, 60), side(rng, 30, 60)), [side(rng, 20, 50), side(rng, 20, 50)]
    crop, scales = [side(rng, 12, 26), side(rng, 12, 26)], [0.9, round(float(rng.uniform(1.0, 1.6)), 2)]
    mean, std = rng.uniform(0.3, 0.6, 3), rng.uniform(0.15, 0.3, 3)
    means, stds = rng.uniform(90, 130, 3), rng.uniform(1, 3, 3)
    pixels = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    label = label_map(rng, shape, 19).astype(np.uint8)

    def rgb(image: Array) -> Array:
        return ((image / 255 - mean) / std).transpose(2, 0, 1)

    def resized(image: Array, size: tuple[int, int], kind: Image.Resampling) -> Array:
        return np.asarray(Image.fromarray(image).resize((size[1], size[0]), kind))

    size = (resize[0], resize[1])
    shown = resized(pixels, size, Image.Resampling.BICUBIC)
    ids = resized(label, size, Image.Resampling.NEAREST)
    arrays: dict[str, Any] = {
        "in/image": pixels,
        "in/label": label,
        "out/resize_rgb/image": rgb(shown),
        "out/resize_rgb/label": ids,
        "out/resize_bgr255/image": ((shown[..., ::-1] - means) / stds).transpose(2, 0, 1),
        "out/resize_bgr255/label": ids,
        "out/test/image": rgb(shown),
        "out/test/label": label,
    }
    draws = []
    for number in range(side(rng, 1, 3)):
        scale, flipped = float(rng.uniform(*scales)), bool(rng.integers(2))
        scaled = (int(shape[0] * scale), int(shape[1] * scale))
        top, left = (side(rng, 0, n - c) for n, c in zip(scaled, crop, strict=True))
        step, place = -1 if flipped else 1, (slice(top, top + crop[0]), slice(left, left + crop[1]))
        large, at = resized(pixels, scaled, Image.Resampling.BICUBIC), f"out/random_{number}"
        arrays[f"{at}/image"] = rgb(large[place][:, ::step])
        arrays[f"{at}/label"] = resized(label, scaled, Image.Resampling.NEAREST)[place][:, ::step]
        draws.append({"scale": scale, "crop_top_left": [top, left], "flipped": flipped})
    hyper = {
        "resize": resize,
        "crop": crop,
        "scale_range": scales,
        "mean_rgb": mean.tolist(),
        "std_rgb": std.tolist(),
        "mean_bgr255": means.tolist(),
        "std_bgr255": stds.tolist(),
    }
    return Made({"hyper_parameters": hyper, "recorded_draws": draws, "tolerance": "1 grey level"}, arrays)
