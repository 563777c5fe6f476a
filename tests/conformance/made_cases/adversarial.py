"""Parts of the adversarial family, made by loops and formulas."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .making import Array, Made, Rng, label_map, maker, normal, side

_LOOSE = {"rtol": 1e-4, "atol": 1e-5}


def _counts(label: Array, found: Array, classes: int) -> Array:
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for true, predicted in zip(label.ravel(), found.ravel(), strict=True):
        if true < classes:
            matrix[true, predicted] += 1
    return matrix


def _scores(matrix: Array) -> tuple[Array, Array, Array]:
    hits = np.diagonal(matrix).astype(float)
    true, union = matrix.sum(1).astype(float), matrix.sum(1) + matrix.sum(0) - hits
    return hits, true, union


@maker("fada_metric")
def fada_metric(rng: Rng) -> Made:
    """Batches of one to three maps with another ignore value; absent classes count as 0."""
    classes, images, batch, ignore = (
        side(rng, 2, 9),
        side(rng, 1, 4),
        side(rng, 1, 3),
        int(rng.choice([255, 99])),
    )
    arrays: dict[str, Any] = {}
    total = np.zeros((classes, classes), dtype=np.int64)
    for number in range(images):
        label = label_map(rng, (batch, 9, 11), classes, ignore)
        found = rng.integers(0, max(classes - 1, 1), label.shape)
        arrays |= {f"in/label/{number}": label.astype(np.int16), f"in/pred/{number}": found.astype(np.int16)}
        total += _counts(np.where(label == ignore, 1000, label), found, classes)
    hits, true, union = _scores(total)
    iou, recall = (np.divide(hits, part, out=np.zeros(classes), where=part > 0) for part in (union, true))
    results = {
        "out/intersection": hits,
        "out/target": true,
        "out/union": union,
        "out/iou_class": iou,
        "out/miou": np.array(iou.mean()),
        "out/macc": np.array(recall.mean()),
        "out/allacc": np.array(hits.sum() / true.sum()),
    }
    hyper = {"num_classes": classes, "ignore_label": ignore, "images": images}
    content = {"hyper_parameters": hyper, "tolerance": {"rtol": 1e-9, "atol": 1e-12}}
    return Made({**content, "kept_in_float64": list(results)}, arrays | results)


@maker("advent_metric")
def advent_metric(rng: Rng) -> Made:
    """Logits at another share of the size; classes that do not occur are left out of the mean."""
    classes, images, width, height = side(rng, 2, 12), side(rng, 1, 3), side(rng, 20, 40), side(rng, 20, 40)
    total, arrays = np.zeros((classes, classes), dtype=np.int64), {}
    for number in range(images):
        logits = normal(rng, 1, classes, side(rng, 3, 9), side(rng, 3, 9))
        full = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=True)
        found = full[0].argmax(0).numpy().astype(np.uint8)
        label = label_map(rng, (height, width), classes)
        arrays |= {f"in/main_logits/{number}": logits, f"in/label/{number}": label.astype(np.uint8)}
        arrays[f"out/pred/{number}"] = found
        total += _counts(label, found, classes)
    hits, _, union = _scores(total)
    iou = np.divide(hits, union, out=np.full(classes, np.nan), where=union > 0)
    results = {
        "out/confusion": total,
        "out/iou_class": iou,
        "out/miou": np.array(np.nanmean(iou)),
        "out/miou_percent_rounded": np.array(round(float(np.nanmean(iou)) * 100, 2)),
    }
    hyper = {"num_classes": classes, "images": images, "output_size_wh": [width, height]}
    content = {"hyper_parameters": hyper, "tolerance": {"rtol": 1e-9}, "kept_in_float64": list(results)}
    return Made(content, arrays | results)


@maker("fada_ccd")
def class_center_distance(rng: Rng) -> Made:
    """Centers from one to four images."""
    images, classes, channels = side(rng, 1, 4), side(rng, 2, 7), side(rng, 2, 9)
    height, width, ignore = side(rng, 12, 15), side(rng, 12, 15), int(rng.choice([255, 200]))
    features = normal(rng, images, channels, height, width).numpy()
    label = label_map(rng, (images, height, width), classes, ignore, block=2)
    label[0, 0, :classes] = label[0, 1, :classes] = np.arange(classes)
    pixels = np.moveaxis(features, 1, -1)
    own = [pixels[label == c] for c in range(classes)]
    centers = np.stack([part.mean(0) for part in own])
    away = [((part - center) ** 2).sum(1) for part, center in zip(own, centers, strict=True)]
    spread, plain = np.array([d.mean() for d in away]), np.array([np.sqrt(d).mean() for d in away])
    between = ((centers[:, None] - centers[None]) ** 2).sum(-1)
    rest = [np.delete(row, c) for c, row in enumerate(between)]
    distance = np.array([(s / row).mean() for s, row in zip(spread, rest, strict=True)])
    results = {
        "out/class_centre": centers,
        "out/intra_mean_squared_distance": spread,
        "out/centre_squared_distance": between,
        "out/ccd": distance,
        "out/ccd_mean": np.array(distance.mean()),
        "out/ccd_ratio_of_means_squared": spread / np.array([row.mean() for row in rest]),
        "out/ccd_ratio_of_means_euclidean": plain / np.array([np.sqrt(row).mean() for row in rest]),
    }
    content = {
        "hyper_parameters": {"num_classes": classes, "ignore_label": ignore},
        "tolerance": {"rtol": 1e-6, "atol": 1e-9},
        "kept_in_float64": list(results),
    }
    return Made(content, {"in/feature": features, "in/label": label.astype(np.int16), **results})


@maker("fada_sampler")
def sampler(rng: Rng) -> Made:
    """Lists of other lengths, with shorter sub-epochs and another epsilon."""
    files, classes, seed = side(rng, 8, 25), side(rng, 2, 9), side(rng, 0, 999)
    length, sub_epoch, epsilon = side(rng, 20, 90), side(rng, 15, 40), float(rng.uniform(0.005, 0.2))
    shows = rng.random((files, classes)) < 0.6
    shows[:3] = True
    queues = [np.flatnonzero(shows[:, c]).tolist() for c in range(classes)]
    offsets = np.cumsum([0, *map(len, queues)])
    arrays: dict[str, Any] = {
        "in/file_has_class": shows.astype(np.uint8),
        "in/label_to_file_flat": np.array([file for queue in queues for file in queue]),
        "in/label_to_file_offsets": offsets,
    }
    state, positions, picked, drawn, weights = np.random.RandomState(seed), [0] * classes, [], [], []
    shuffles: list[tuple[int, int, list[int]]] = []
    for step in range((int(length / sub_epoch) + 1) * sub_epoch):
        if step % sub_epoch == 0:
            counts = np.zeros(classes)
        share = counts / counts.sum() if counts.sum() else counts
        raw = np.array([1 / math.log(1 + epsilon + s) for s in share])
        weights.append(raw / raw.sum())
        c = int(state.choice(classes, p=weights[-1]))
        if positions[c] >= len(queues[c]):
            state.shuffle(queues[c])
            shuffles.append((step, c, list(queues[c])))
            positions[c] = positions[c] % (len(queues[c]) - 1)
        drawn.append(c)
        picked.append(queues[c][positions[c]])
        positions[c] += 1
        counts += shows[picked[-1]]
    seen = np.arange(0, len(picked), 7)
    arrays |= {
        "out/picked_class": np.array(drawn),
        "out/picked_file": np.array(picked),
        "out/list_length": np.array(len(picked)),
        "out/weight_steps": seen,
        "out/weights": np.stack([weights[step] for step in seen]),
        "out/shuffle_step": np.array([step for step, _, _ in shuffles]),
        "out/shuffle_class": np.array([c for _, c, _ in shuffles]),
        "out/shuffle_result_flat": np.array([file for _, _, queue in shuffles for file in queue]),
        "out/shuffle_result_offsets": np.cumsum([0, *(len(queue) for _, _, queue in shuffles)]),
    }
    hyper = {
        "num_classes": classes,
        "num_files": files,
        "numpy_seed": seed,
        "max_iters": length,
        "sub_epoch": sub_epoch,
        "epsilon": epsilon,
    }
    tolerance = {"weights": {"rtol": 1e-12, "atol": 0}}
    content = {"hyper_parameters": hyper, "tolerance": tolerance, "kept_in_float64": ["out/weights"]}
    return Made(content, arrays)


@maker("sgd_duplicate_params")
def repeated_sgd(rng: Rng) -> Made:
    """Other multiplicities, by the update written out."""
    listings = sorted(set(rng.integers(1, 7, 3).tolist()))
    rates = [float(r) for r in rng.uniform(1e-3, 0.1, side(rng, 2, 4))]
    momentum, decay = float(rng.uniform(0, 0.99)), float(rng.uniform(0, 0.1))
    arrays: dict[str, Any] = {}
    for times in listings:
        name = f"listed_{times}_times"
        start = normal(rng, side(rng, 2, 6)).numpy()
        gradients = [normal(rng, len(start)).numpy() for _ in rates]
        arrays[f"param/{name}"] = start
        for reading, repeats in (("once", 1), ("legacy", times), ("current", times)):
            tensor, velocity = start.copy(), None
            for step, rate in enumerate(rates):
                kept = gradients[step].copy()
                arrays[f"in/grad/step{step}/{name}"] = gradients[step]
                for _ in range(repeats):
                    change = kept + decay * tensor
                    if reading == "legacy":
                        kept = change
                    # In its first step, today's framework starts the momentum anew for every listing.
                    fresh = velocity is None or (reading == "current" and step == 0)
                    velocity = change if fresh else momentum * velocity + change
                    tensor = tensor - rate * velocity
                arrays[f"out/{reading}/step{step}/{name}"] = tensor
    hyper = {
        "listings": listings,
        "steps": len(rates),
        "lr": rates,
        "momentum": momentum,
        "weight_decay": decay,
    }
    return Made({"hyper_parameters": hyper, "tolerance": {"rtol": 1e-5, "atol": 1e-7}}, arrays)


def discriminator(rng: Rng, classes: int, width: int, scale: float = 0.3) -> list[Tensor]:
    """Weights and biases, in turn, of the five convolutions."""
    widths = [classes, width, 2 * width, 4 * width, 8 * width, 1]
    tensors = []
    for i, o in pairwise(widths):
        tensors += [normal(rng, o, i, 4, 4, scale=scale / math.sqrt(i)), normal(rng, o, scale=0.1)]
    return tensors


def judged(tensors: list[Tensor], maps: Tensor) -> Tensor:
    """What a discriminator says of maps."""
    for i in range(0, len(tensors), 2):
        maps = functional.conv2d(maps, tensors[i], tensors[i + 1], stride=2, padding=1)
        maps = functional.leaky_relu(maps, 0.2) if i + 2 < len(tensors) else maps
    return maps


def self_information(probability: Tensor) -> Tensor:
    """Of every class."""
    return -probability * torch.log2(probability + 1e-30) / math.log2(probability.shape[1])


@maker("advent_entropy")
def entropy(rng: Rng) -> Made:
    """Maps of another size, class count, discriminator and ignore value."""
    batch, classes, width, ignore = (
        side(rng, 1, 3),
        side(rng, 2, 9),
        side(rng, 1, 5),
        int(rng.choice([255, 254])),
    )
    size = (side(rng, 33, 70), side(rng, 33, 70))
    logits = normal(rng, batch, classes, side(rng, 4, 9), side(rng, 4, 9)).requires_grad_()
    label = label_map(rng, (batch, *size), classes, ignore)
    label[:, :2] = -1
    tensors = [t.requires_grad_() for t in discriminator(rng, classes, width)]
    names = [f"{2 * (i // 2)}.{('weight', 'bias')[i % 2]}" for i in range(len(tensors))]
    full = functional.interpolate(logits, size, mode="bilinear", align_corners=True)
    information = self_information(full.softmax(1))
    arrays: dict[str, Any] = {
        "in/logits": logits,
        "in/label": label.astype(np.float32),
        **{f"param/discriminator/{name}": t for name, t in zip(names, tensors, strict=True)},
        "out/self_information": information,
    }
    known = torch.from_numpy((label >= 0) & (label != ignore))
    target = torch.from_numpy(label).clamp(0, classes - 1)
    cross = -full.log_softmax(1).gather(1, target[:, None])[:, 0]
    uncertain = information.sum() / (batch * size[0] * size[1])
    for name, loss in (("entropy_loss", uncertain), ("loss_seg", cross[known].mean())):
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        arrays |= {f"out/{name}": loss, f"out/grad_{name}/logits": gradient}
    scores = judged(tensors, information)
    arrays["out/d_out"] = scores
    for name, sign in (("source", 1.0), ("target", -1.0)):
        loss = functional.softplus(sign * scores).mean()
        gradients = torch.autograd.grad(loss, [logits, *tensors], retain_graph=True)
        listed = ["logits", *(f"discriminator/{n}" for n in names)]
        arrays |= {f"out/grad_bce_{name}_label/{n}": g for n, g in zip(listed, gradients, strict=True)}
        arrays[f"out/bce_{name}_label"] = loss
    extreme = normal(rng, 1, classes, 2, 3).softmax(1)
    extreme[:, :, 0, 0] = torch.eye(classes, dtype=torch.float64)[0]
    extreme = extreme.float().double().requires_grad_()
    loss = self_information(extreme).sum() / 6
    arrays |= {
        "in/prob_extreme": extreme,
        "out/extreme/self_information": self_information(extreme),
        "out/extreme/entropy_loss": loss,
        "out/extreme/grad": torch.autograd.grad(loss, extreme)[0],
    }
    hyper = {"num_classes": classes, "ndf": width, "up_size_hw": list(size), "ignore_label": ignore}
    return Made({"hyper_parameters": hyper, "tolerance": _LOOSE}, arrays)


@maker("fada_classifier")
def classifier(rng: Rng) -> Made:
    """One to five branches of other dilations."""
    channels, classes = side(rng, 2, 6), side(rng, 2, 8)
    dilations = sorted(set(rng.integers(1, 12, side(rng, 1, 5)).tolist()))
    tensors: dict[str, Tensor] = {}
    for branch in range(len(dilations)):
        tensors[f"conv2d_list.{branch}.weight"] = normal(rng, classes, channels, 3, 3, scale=0.2)
        tensors[f"conv2d_list.{branch}.bias"] = normal(rng, classes)

    def logits_of(feature: Tensor) -> Tensor:
        branches = [
            functional.conv2d(
                feature,
                tensors[f"conv2d_list.{i}.weight"],
                tensors[f"conv2d_list.{i}.bias"],
                padding=dilation,
                dilation=dilation,
            )
            for i, dilation in enumerate(dilations)
        ]
        return torch.stack(branches).sum(0)

    hyper = {"in_channels": channels, "num_classes": classes, "dilations": dilations}
    return _layer(rng, hyper, tensors, logits_of)


def classes_judged(named: dict[str, Tensor], feature: Tensor) -> Tensor:
    """Logits that FADA's discriminator gives all classes of both domains."""
    for name in ("D.0", "D.2"):
        weight, bias = named[f"{name}.weight"], named[f"{name}.bias"]
        feature = functional.leaky_relu(functional.conv2d(feature, weight, bias, padding=1), 0.2)
    halves = [
        functional.conv2d(feature, named[f"{name}.weight"], named[f"{name}.bias"], padding=1)
        for name in ("cls1", "cls2")
    ]
    return torch.cat(halves, dim=1)


@maker("fada_discriminator")
def class_discriminator(rng: Rng) -> Made:
    """Other widths and class counts."""
    channels, classes, width = side(rng, 2, 9), side(rng, 2, 8), 2 * side(rng, 1, 6)
    shapes = {"D.0": (width, channels), "D.2": (width // 2, width)}
    shapes |= dict.fromkeys(("cls1", "cls2"), (classes, width // 2))
    tensors: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        tensors |= {
            f"{name}.weight": normal(rng, *shape, 3, 3, scale=0.3),
            f"{name}.bias": normal(rng, shape[0]),
        }

    hyper = {"in_channels": channels, "num_classes": classes, "ndf": width}
    return _layer(rng, hyper, tensors, lambda feature: classes_judged(tensors, feature))


def _layer(rng: Rng, hyper: dict[str, Any], tensors: dict[str, Tensor], layer: Any) -> Made:
    feature = normal(rng, side(rng, 1, 3), hyper["in_channels"], side(rng, 5, 14), side(rng, 5, 14))
    size = [side(rng, 15, 40), side(rng, 15, 40)]
    given = {"feature": feature.requires_grad_(), **{n: t.requires_grad_() for n, t in tensors.items()}}
    logits = layer(feature)
    full = functional.interpolate(logits, tuple(size), mode="bilinear", align_corners=True)
    cotangent = normal(rng, *full.shape)
    gradients = torch.autograd.grad((full * cotangent).sum(), list(given.values()))
    arrays = {
        "in/feature": feature,
        "in/cotangent": cotangent,
        "out/logits": logits,
        "out/logits_up": full,
        **{f"param/{name}": tensor for name, tensor in tensors.items()},
        **{f"out/grad/{name}": gradient for name, gradient in zip(given, gradients, strict=True)},
    }
    # Of float32 numbers of this size; their half a unit in the last place is what a recording is off.
    largest = {name: float(g.abs().max()) for name, g in zip(given, gradients, strict=True)}
    rounding = {f"out/grad/{name}": {"max_abs": 2**-20 * value} for name, value in largest.items()}
    note = "loosen atol in proportion to the float32_versus_float64 figures if sums are made in another order"
    content = {
        "hyper_parameters": {**hyper, "up_size": size},
        "tolerance": {**_LOOSE, "note": note},
        "self_check": {"float32_versus_float64": rounding},
    }
    return Made(content, arrays)


@maker("intrada_rank")
def ranking(rng: Rng) -> Made:
    """Other classes, other rare ones, other shares."""
    classes, images = side(rng, 3, 21), side(rng, 3, 8)
    rare = sorted(rng.permutation(classes)[: side(rng, 1, classes - 1)].tolist())
    width, height = side(rng, 40, 70), side(rng, 40, 70)
    shares = [round(float(s), 2) for s in rng.uniform(0.4, 0.65, 2)]
    arrays: dict[str, Any] = {}
    scores, counts, factors = [], [], []
    for number in range(images):
        logits = normal(rng, 1, classes, side(rng, 4, 9), side(rng, 4, 9), scale=float(rng.uniform(0.5, 4)))
        full = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=True)
        label = full[0].argmax(0).numpy().astype(np.uint8)
        scores.append(float(self_information(full.softmax(1)).mean()))
        counts.append(len(set(np.unique(label).tolist()) & set(rare)))
        factors.append((len(rare) - counts[-1]) / len(rare) + 0.5)
        arrays |= {f"in/logits/{number}": logits, f"out/pseudo_label/{number}": label}
    for name, given in (("plain", scores), ("normalised", np.multiply(scores, factors).tolist())):
        order = sorted(range(images), key=lambda i, given=given: given[i])
        for share in shares:
            cut, at = int(images * share), f"out/{name}/lambda_{share:.2f}"
            arrays |= {f"{at}/easy": np.array(order[:cut]), f"{at}/hard": np.array(order[cut:])}
    sizes, cuts = [5, 13, 200], [0.25, 0.6]
    results = {
        "out/mean_self_information": np.array(scores),
        "out/normaliser": np.array(factors),
        "out/rare_class_count": np.array(counts),
        "out/split_table": np.array([[int(n * cut) for cut in cuts] for n in sizes]),
    }
    hyper = {
        "num_classes": classes,
        "num_images": images,
        "input_size_wh": [width, height],
        "rare_classes": rare,
        "lambda1": shares,
        "split_table_n": sizes,
        "split_table_lambda": cuts,
    }
    tolerance = {"mean_self_information": {"rtol": 1e-5, "atol": 1e-8}, "order": "exact"}
    content = {"hyper_parameters": hyper, "tolerance": tolerance, "kept_in_float64": list(results)}
    return Made(content, arrays | results)


def resized(image: Array, size: list[int], resample: Image.Resampling) -> Array:
    """By Pillow, to (width, height)."""
    return np.asarray(Image.fromarray(image).resize((size[0], size[1]), resample))


@maker("intrada_pseudo_label")
def loaders(rng: Rng) -> Made:
    """Other sizes and another mean."""
    size, gta_size, test_size = ([side(rng, 20, 50), side(rng, 20, 50)] for _ in range(3))
    shape, gta_shape = ((side(rng, 20, 60), side(rng, 20, 60)) for _ in range(2))
    mean = [float(m) for m in rng.uniform(80, 140, 3)]
    table = np.full(256, 255, np.uint8)
    for train, raw in enumerate((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)):
        table[raw] = train
    image, gta = (rng.integers(0, 256, (*s, 3)).astype(np.uint8) for s in (shape, gta_shape))
    raw, gta_raw = (label_map(rng, s, 34, ignore=0).astype(np.uint8) for s in (shape, gta_shape))
    pseudo = label_map(rng, shape, 19).astype(np.uint8)
    cubic, nearest = Image.Resampling.BICUBIC, Image.Resampling.NEAREST

    def shown(pixels: Array, wanted: list[int]) -> Array:
        bgr = resized(pixels, wanted, cubic)[..., ::-1].astype(np.float64) - mean
        return np.ascontiguousarray(bgr.transpose(2, 0, 1))

    arrays = {
        "in/image": image,
        "in/gta_image": gta,
        "in/pseudo_label": pseudo,
        "in/raw_label": raw,
        "in/gta_raw_label": gta_raw,
        **{
            f"out/{n}/image": shown(image, size)
            for n in ("intra_easy", "cityscapes_train", "cityscapes_test")
        },
        "out/gta/image": shown(gta, gta_size),
        "out/intra_easy/label": resized(pseudo, size, nearest),
        "out/cityscapes_train/label": resized(table[raw], size, nearest),
        "out/cityscapes_test/label": resized(table[raw], test_size, nearest),
        "out/gta/label": resized(table[gta_raw], gta_size, nearest),
        "out/cityscapes_label_map": np.array([255, *table[:34]]),
    }
    hyper = {
        "crop_size_wh": size,
        "gta_crop_size_wh": gta_size,
        "test_label_size_wh": test_size,
        "mean_bgr": mean,
    }
    tolerance = {"image": "allow 1 grey level", "label": "exact"}
    return Made({"hyper_parameters": hyper, "tolerance": tolerance}, arrays)
