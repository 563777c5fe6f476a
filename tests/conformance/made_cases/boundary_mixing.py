"""Parts and single steps of PixMatch and EHTDI, written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional

from .making import Array, Made, Rng, label_map, maker, normal, side

_CAFFE = np.array([104.00698793, 116.66876762, 122.67891434])
_RAW = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_LEFT_OUT = (9, 14, 16)
UNUSED = -999


def grown_and_eroded(mask: Array, rows: int = 2, columns: int = 2) -> tuple[Array, Array]:
    """Where any and where all pixels under the kernel are set, of those inside the map. Shape: bool ``(B, H, W)``."""
    grown, eroded = np.zeros_like(mask), np.zeros_like(mask)
    for b, y, x in np.ndindex(*mask.shape):
        top, left = y - rows // 2, x - columns // 2
        near = mask[b, max(top, 0) : top + rows, max(left, 0) : left + columns]
        grown[b, y, x], eroded[b, y, x] = near.any(), near.all()
    return grown, eroded


@maker("ehtdi_border_masks")
def borders(rng: Rng) -> Made:
    """Kernels of other sides, pixel by pixel."""
    mask = label_map(rng, (side(rng, 1, 4), side(rng, 9, 20), side(rng, 9, 20)), 2, ignore=0) > 0
    rows, columns = side(rng, 1, 4), side(rng, 1, 4)
    grown, eroded = grown_and_eroded(mask, rows, columns)
    parts = {"erode": eroded, "dilate": grown, "border": grown & ~eroded}
    arrays = {f"out/{name}": part.astype(np.uint8) for name, part in parts.items()}
    content = {"hyper_parameters": {"kernel": [rows, columns]}, "tolerance": "exact"}
    return Made(content, {"in/mask": mask.astype(np.uint8), **arrays})


@maker("cutmix")
def cut_mix(rng: Rng) -> Made:
    """Other batches, sizes and boxes."""
    batch, size, other = (
        side(rng, 1, 3),
        (side(rng, 9, 30), side(rng, 9, 30)),
        (side(rng, 9, 30), side(rng, 9, 30)),
    )
    images = {"1": normal(rng, batch, 3, *size), "2": normal(rng, batch, 3, *size)}
    labels = {key: label_map(rng, (batch, 1, *size), 5, ignore=-1) for key in images}
    images["1_other_size"] = normal(rng, batch, 3, *other)
    labels["1_other_size"] = label_map(rng, (batch, 1, *other), 5, ignore=-1)
    arrays: dict[str, Any] = {f"in/images_{key}": image for key, image in images.items()}
    arrays |= {f"in/labels_{key}": label.astype(np.int16) for key, label in labels.items()}
    drawn = []
    for number in range(side(rng, 1, 4)):
        share, row, column = float(rng.random()), side(rng, 0, size[0] - 1), side(rng, 0, size[1] - 1)
        swapped, box = bool(rng.integers(2)), []
        for middle, length in ((row, size[0]), (column, size[1])):
            half = int(length * math.sqrt(1 - share)) // 2
            box.append([max(middle - half, 0), min(middle + half, length)])
        facts = {"swapped": swapped, "lam": share, "centre_row": row, "centre_col": column}
        drawn.append({**facts, "box_rows": box[0], "box_cols": box[1]})
        for name, key in (("same", "1"), ("resized", "1_other_size")):
            image = functional.interpolate(images[key], size, mode="bicubic", align_corners=False)
            at = [np.arange(n) * m // n for n, m in zip(size, labels[key].shape[2:], strict=True)]
            label = torch.from_numpy(labels[key][..., at[0], :][..., at[1]])
            first, second = (image, label), (images["2"], torch.from_numpy(labels["2"]))
            ground, patch = (second, first) if swapped else (first, second)
            for kind, whole, part in zip(("images", "labels"), ground, patch, strict=True):
                mixed = whole.clone()
                place = (..., slice(*box[0]), slice(*box[1]))
                mixed[place] = part[place]
                arrays[f"out/{number}/{name}/{kind}"] = mixed
    tolerance = {"images": {"rtol": 1e-5, "atol": 1e-5}, "labels": "exact"}
    return Made({"hyper_parameters": {}, "tolerance": tolerance, "recorded_draws": drawn}, arrays)


@maker("fourier_mix")
def fourier_mix(rng: Rng) -> Made:
    """Other sizes and shares, by masks of frequencies."""
    cases, arrays = [], {}
    for number in range(side(rng, 1, 2)):
        size, share, name = (
            (side(rng, 9, 40), side(rng, 9, 40)),
            float(rng.uniform(0.05, 0.4)),
            f"made{number}",
        )
        image, style = (normal(rng, side(rng, 1, 1), 3, *size, scale=50.0).numpy() for _ in range(2))
        cases.append({"name": name, "src": list(size), "tgt": list(size), "L": share})
        columns = size[1] // 2 + 1
        corners = [int(min(size[0], columns) * share), int(min(size) * share)]
        full, look = np.fft.fft2(image), np.abs(np.fft.fft2(style))
        amplitude = np.where(_corners(size, corners[1]), look, np.abs(full))
        mixed = amplitude * np.exp(1j * np.angle(full))
        changed = _corners((size[0], columns), corners[0])
        part = np.where(changed, look[..., :columns], np.abs(full)[..., :columns])
        half = part * np.exp(1j * np.angle(full[..., :columns]))
        arrays |= {
            f"in/{name}/src": image,
            f"in/{name}/tgt": style,
            f"out/{name}/full_spectrum": np.fft.irfft2(mixed[..., :columns], s=size),
            f"out/{name}/full_spectrum_real_part": np.fft.ifft2(mixed).real,
            f"out/{name}/half_spectrum_repaired": np.fft.irfft2(half, s=size),
            f"out/{name}/half_spectrum_amplitude_changed": changed.astype(np.uint8),
            f"out/{name}/corner_size": np.array(corners),
            f"out/{name}/ehtdi_output_shape": np.array([*image.shape[:3], *size]),
        }
    return Made({"hyper_parameters": {"cases": cases}, "tolerance": {"rtol": 1e-4, "atol": 2e-4}}, arrays)


def _corners(size: tuple[int, int], length: int) -> Array:
    inside = [np.minimum(np.arange(n), n - 1 - np.arange(n)) < length for n in size]
    return np.outer(*inside)


@maker("ehtdi_augment")
def views(rng: Rng) -> Made:
    """Views that are no squares, of images with another mean."""
    batch, size, out = (
        side(rng, 1, 3),
        (side(rng, 30, 50), side(rng, 30, 50)),
        (side(rng, 9, 28), side(rng, 9, 28)),
    )
    mean = rng.uniform(90, 130, 3).astype(np.float32)
    pixels = rng.integers(0, 256, (batch, 3, *size)).astype(np.float32)
    image, label = pixels - mean[:, None, None], label_map(rng, (batch, *size), 9, ignore=-1)
    levels = np.clip(image + mean[:, None, None], 0, 255).astype(np.uint8)[:, ::-1]
    boxes, cuts, labels = [], [], []
    for b in range(batch):
        height, width = side(rng, 9, size[0]), side(rng, 9, size[1])
        top, left = side(rng, 0, size[0] - height), side(rng, 0, size[1] - width)
        boxes.append([top, left, height, width])
        place = (slice(top, top + height), slice(left, left + width))
        part = torch.from_numpy(levels[b][:, place[0], place[1]].astype(np.float64))[None]
        cuts.append(
            functional.interpolate(part, out, mode="bilinear", align_corners=False)[0].round().numpy()
        )
        at = [np.arange(n) * m // n for n, m in zip(out, (height, width), strict=True)]
        labels.append(label[b][place][at[0]][:, at[1]])
    strong = rng.integers(0, 256, (batch, *out, 3)).astype(np.uint8)
    arrays = {
        "in/image": image,
        "in/label": label.astype(np.int16),
        "in/strong_rgb_uint8": strong,
        "out/recovered_rgb_uint8": levels.transpose(0, 2, 3, 1),
        "out/strong_transform_input_uint8": np.stack(cuts).transpose(0, 2, 3, 1).astype(np.uint8),
        "out/weak": np.stack(cuts)[:, ::-1] - mean[:, None, None],
        "out/strong": strong.transpose(0, 3, 1, 2)[:, ::-1] - mean[:, None, None],
        "out/label": np.stack(labels).astype(np.int16),
    }
    hyper = {"out_hw": list(out), "crops_yxhw": boxes, "mean_bgr": mean.tolist()}
    return Made(
        {"hyper_parameters": hyper, "tolerance": {"images": "1 grey level", "label": "exact"}}, arrays
    )


@maker("ehtdi_input_pipeline")
def loader(rng: Rng) -> Made:
    """Draws with blur, and other sizes."""
    shape, width, height = (side(rng, 30, 60), side(rng, 30, 60)), side(rng, 20, 50), side(rng, 20, 50)
    pixels = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    raw = label_map(rng, shape, 34, ignore=0).astype(np.uint8)
    nineteen, sixteen = np.full(256, -1), np.full(256, -1)
    nineteen[list(_RAW)] = np.arange(19)
    kept = [i for i in range(19) if i not in _LEFT_OUT]
    sixteen[[_RAW[i] for i in kept]] = np.arange(16)
    draws = [
        {
            "mirrored": bool(rng.integers(2)),
            "blurred": blurred,
            "blur_radius": float(rng.random()) if blurred else None,
        }
        for blurred in (True, False, bool(rng.integers(2)))
    ]
    arrays: dict[str, Any] = {"in/image": pixels, "in/raw_label": raw}
    plain = {"mirrored": False, "blurred": False}
    for name, draw in [*((f"train_{i}", draw) for i, draw in enumerate(draws)), ("val", plain)]:
        step = -1 if draw["mirrored"] else 1
        flipped = np.ascontiguousarray(pixels[:, ::step])
        shown = Image.fromarray(flipped).resize((width, height), Image.Resampling.BICUBIC)
        if draw["blurred"]:
            shown = shown.filter(ImageFilter.GaussianBlur(draw["blur_radius"]))
        arrays[f"out/{name}/image"] = (np.asarray(shown)[..., ::-1] - _CAFFE).transpose(2, 0, 1)
        ids = Image.fromarray(np.ascontiguousarray(raw[:, ::step])).resize(
            (width, height), Image.Resampling.NEAREST
        )
        for suffix, table in (("", nineteen), ("_16", sixteen)):
            arrays[f"out/{name}/label{suffix}"] = table[np.asarray(ids)].astype(np.int16)
    tolerance = {"image": "allow 1 to 2 grey levels", "label": "exact"}
    hyper = {"crop_size_wh": [width, height]}
    return Made({"hyper_parameters": hyper, "tolerance": tolerance, "recorded_draws": draws}, arrays)


@maker("ehtdi_metric")
def scores(rng: Rng) -> Made:
    """Any number of classes, images and samples."""
    images, arrays, results = side(rng, 1, 4), {}, {}
    for classes in sorted({16, side(rng, 2, 15), side(rng, 17, 22)}):
        total = np.zeros((classes, classes), dtype=np.int64)
        for number in range(images):
            label = label_map(rng, (side(rng, 1, 2), 12, 14), classes, ignore=-1, block=2)
            found = np.where(
                rng.random(label.shape) < 0.6, np.maximum(label, 0), rng.integers(0, classes, label.shape)
            )
            at = f"in/K{classes}"
            arrays |= {
                f"{at}/label/{number}": label.astype(np.int16),
                f"{at}/pred/{number}": found.astype(np.int16),
            }
            for true, predicted in zip(label.ravel(), found.ravel(), strict=True):
                if true >= 0:
                    total[true, predicted] += 1
        hits, true = np.diagonal(total).astype(float), total.sum(1)
        union, out = total.sum(0) + true - hits, f"out/K{classes}"
        views = [list(range(classes)), [c for c in range(16) if c not in (3, 4, 5)]][
            : 2 if classes == 16 else 1
        ]
        means = [
            (
                np.mean([hits[c] / union[c] for c in v if union[c]]),
                np.mean([hits[c] / true[c] for c in v if true[c]]),
            )
            for v in views
        ]
        shape = (2,) if classes == 16 else ()
        results |= {
            f"{out}/confusion": total,
            f"{out}/pixel_accuracy": np.array(hits.sum() / true.sum()),
            f"{out}/miou": np.reshape([mean for mean, _ in means], shape),
            f"{out}/mean_accuracy": np.reshape([mean for _, mean in means], shape),
        }
    content = {
        "hyper_parameters": {"images": images},
        "tolerance": {"rtol": 1e-9},
        "kept_in_float64": list(results),
    }
    return Made(content, arrays | results)


def contrast(first: Tensor, second: Tensor, factor: float) -> Tensor:
    """Cross entropy of the similarities of all rows, but themselves, with the row of the other view."""
    rows = torch.cat([first, second])
    similar = rows @ rows.T
    similar = (
        torch.where(torch.eye(len(rows), dtype=torch.bool), torch.tensor(-1e5, dtype=rows.dtype), similar)
        * factor
    )
    others = torch.arange(len(rows)).roll(len(rows) // 2)
    return functional.cross_entropy(similar, others)


def pixel_rows(logits: Tensor) -> Tensor:
    return logits.softmax(0).flatten(1).T


def class_rows(logits: Tensor, label: Array, classes: list[int]) -> Tensor:
    return torch.stack([logits[:, torch.from_numpy(label == c)].mean(1).softmax(0) for c in classes])


def shrunk(label: Array, size: tuple[int, int]) -> Array:
    at = [np.arange(n) * m // n for n, m in zip(size, label.shape[-2:], strict=True)]
    return np.asarray(label[..., at[0], :][..., at[1]])


def cross_entropy(logits: Tensor, label: Array, ignore: int) -> Tensor:
    target = torch.from_numpy(label.astype(np.int64))
    return functional.cross_entropy(logits, target, ignore_index=ignore)


def confident(logits: Tensor, threshold: float, ignore: int) -> Array:
    """Labels where the network is sure."""
    best, label = logits.detach().softmax(1).max(1)
    return np.asarray(torch.where(best > threshold, label, ignore).numpy())


class Picked(NamedTuple):
    """Which classes of a label map are pasted: draws, positions in the list of all values, ids, how many might be."""

    draw: Array
    position: Array
    classes: list[int]
    eligible: int


def pick(rng: Rng, label: Array, first: int, ignore: int) -> Picked:
    """Half of the classes above ``first``, one position too low, as published."""
    values = sorted(set(np.where(label == ignore, -1, label).ravel().tolist()))
    eligible = sum(value > first for value in values)
    draw = rng.permutation(eligible)[: eligible if eligible < 2 else eligible // 2]
    position = draw + len(values) - eligible - 1
    classes = [ignore if values[p] == -1 else int(values[p]) for p in position]
    return Picked(draw, position, classes, eligible)


class DrawnStep:
    """One step of EHTDI from network outputs that are drawn at random.

    Args:
        rng: draws all.
        passes: names of the passes through the network.
    """

    def __init__(
        self, rng: Rng, passes: Sequence[str] = ("source", "target", "strong", "weak", "mix")
    ) -> None:
        self.batch, self.classes, self.first = side(rng, 2, 3), side(rng, 6, 12), side(rng, 1, 4)
        self.ignore = int(rng.choice([-1, 255]))
        crop, whole = (side(rng, 17, 30), side(rng, 17, 30)), (side(rng, 31, 44), side(rng, 31, 44))
        self.hyper: dict[str, Any] = {
            "lam_aug": float(rng.uniform(0.1, 0.9)),
            "lam_aux": float(rng.uniform(0.1, 0.9)),
            "mix_weight": float(rng.uniform(0.1, 0.9)),
            "NCE_weight": float(rng.uniform(0.01, 0.5)),
            "Tmax": float(rng.uniform(0.5, 0.9)),
            "ema_decay": 0.97,
            "temperature_prototype": side(rng, 3, 9),
            "temperature_pixel": side(rng, 5, 25),
            "ignore_index": self.ignore,
            "eligible_class_greater_than": self.first,
            "num_classes": self.classes,
            "crop_hw": list(crop),
        }
        self.arrays: dict[str, Any] = {}
        self.label = label_map(rng, (self.batch, *whole), self.classes, self.ignore)
        self.arrays["in/source_label"] = self.label.astype(np.int16)
        for domain in ("source", "target"):
            corners = [
                [side(rng, 0, w - c) for w, c in zip(whole, crop, strict=True)] for _ in range(self.batch)
            ]
            self.arrays[f"in/{domain}_image"] = normal(rng, self.batch, 3, *whole)
            self.arrays[f"in/{domain}_strong"] = normal(rng, self.batch, 3, *crop)
            self.arrays[f"in/{domain}_crop_top_left"] = np.array(corners, dtype=np.int32)
        self.small = (-(-crop[0] // 8), -(-crop[1] // 8))
        self.outputs: dict[str, Tensor] = {}
        for name in passes:
            full = whole if name in ("source", "target") else crop
            small = (5, 6) if name in ("source", "target") else self.small
            for output, size in (("main", full), ("aux", full), ("small", small)):
                logits = normal(rng, self.batch, self.classes, *size, scale=2.0).requires_grad_()
                self.outputs[f"{name}/{output}"] = logits
        self.arrays |= {f"in/model_output/{name}": logits for name, logits in self.outputs.items()}

    def crop(self, maps: Array, domain: str) -> Array:
        """The parts that are seen."""
        height, width = self.hyper["crop_hw"]
        corners = self.arrays[f"in/{domain}_crop_top_left"]
        return np.stack(
            [part[..., y : y + height, x : x + width] for part, (y, x) in zip(maps, corners, strict=True)]
        )

    def paste(self, rng: Rng) -> tuple[Array, Array]:
        """Labels of the source crops, and where they are pasted."""
        label = self.crop(self.label, "source")
        slots = max(1, self.classes // 2)
        listed = {
            n: np.full((self.batch, slots), UNUSED) for n in ("draw", "selected_position", "selected_class")
        }
        numbers, counts, masks = [], [], []
        for b, part in enumerate(label):
            picked = pick(rng, part, self.first, self.ignore)
            number = len(picked.draw)
            for name, row in (
                ("draw", picked.draw),
                ("selected_position", picked.position),
                ("selected_class", picked.classes),
            ):
                listed[name][b, :number] = row
            numbers.append(number)
            counts.append(picked.eligible)
            masks.append(np.isin(part, picked.classes))
        self.arrays |= {f"out/{name}": rows.astype(np.int16) for name, rows in listed.items()}
        self.arrays |= {"out/num_selected": np.array(numbers), "out/eligible_count": np.array(counts)}
        return label, np.stack(masks)

    def confident(self, view: str = "weak") -> Array:
        """Labels of a view where the network is sure."""
        return confident(self.outputs[f"{view}/main"], self.hyper["Tmax"], self.ignore)


@maker("ehtdi_total_loss")
def total_loss(rng: Rng) -> Made:
    """All terms of a step with other weights, factors, thresholds, classes, crops and ignore values."""
    step = DrawnStep(rng)
    hyper, outputs, arrays, ignore = step.hyper, step.outputs, step.arrays, step.ignore
    label, mask = step.paste(rng)
    mean = [
        (outputs[f"{n}/main"].softmax(1) + outputs[f"{n}/aux"].softmax(1)) / 2 for n in ("target", "weak")
    ]
    pseudo = outputs["target/main"].argmax(1).numpy()
    strong_main, strong_aux = np.where(mask, label, step.crop(pseudo, "target")), mean[1].argmax(1).numpy()
    confident = step.confident()
    mixed = np.where(confident != ignore, confident, label)
    ce = {
        "source_main": cross_entropy(outputs["source/main"], step.label, ignore),
        "source_aux": cross_entropy(outputs["source/aux"], step.label, ignore),
        "mix": cross_entropy(outputs["mix/main"][:1], mixed[:1], ignore),
        "strong_main": cross_entropy(outputs["strong/main"], strong_main, ignore),
        "strong_aux": cross_entropy(outputs["strong/aux"], strong_aux, ignore),
    }
    front = shrunk(np.where(mask, label, confident), step.small)[0]
    shown = sorted(set(front.ravel().tolist()) - {ignore})
    strong, weak = outputs["strong/small"], outputs["weak/small"]
    contrasts = []
    if shown:
        both = [class_rows(view[0], front, shown) for view in (strong, weak)]
        contrasts.append(contrast(both[0], both[1], hyper["temperature_prototype"]))
    for pair in zip(strong, weak, strict=True):
        contrasts.append(contrast(pixel_rows(pair[0]), pixel_rows(pair[1]), hyper["temperature_pixel"]))
    nce = torch.stack(contrasts)
    source = ce["source_main"] + hyper["lam_aux"] * ce["source_aux"]
    first = hyper["lam_aug"] * ce["strong_main"] + hyper["mix_weight"] * ce["mix"]
    second = hyper["lam_aug"] * hyper["lam_aux"] * ce["strong_aux"]
    target = first + second + hyper["NCE_weight"] / step.batch * nce.sum()
    learned = [
        name for name in outputs if name.split("/")[0] in ("source", "strong", "mix") or name == "weak/small"
    ]
    learned = [name for name in learned if name not in ("source/small", "mix/aux", "mix/small")]
    gradients = torch.autograd.grad(source + target, [outputs[name] for name in learned])
    labels = {
        "pseudo_label_main": pseudo,
        "pseudo_label_mean_full": mean[0].argmax(1).numpy(),
        "label_strong_main": strong_main,
        "label_strong_aux": strong_aux,
    }
    arrays |= {f"out/{name}": value.astype(np.int16) for name, value in labels.items()}
    arrays |= {f"out/ce/{name}": value for name, value in ce.items()}
    arrays |= {f"out/gradient/{name}": g for name, g in zip(learned, gradients, strict=True)}
    arrays |= {"out/loss_source": source, "out/loss_aug_1": first, "out/loss_aug_2": second, "out/nce": nce}
    arrays |= {"out/loss_aug_total": target}
    logged = [ce["source_main"], hyper["lam_aux"] * ce["source_aux"], first, second]
    arrays["out/logged_values"] = torch.stack(logged)
    return Made({"hyper_parameters": hyper, "tolerance": {"rtol": 1e-4, "atol": 1e-5}}, arrays)


@maker("ehtdi_contrastive")
def contrastive(rng: Rng) -> Made:
    """Other views, factors and labels, with and without a class in the first sample."""
    batch, classes, size = side(rng, 1, 3), side(rng, 3, 9), (side(rng, 17, 40), side(rng, 17, 40))
    small, ignore = (side(rng, 3, 6), side(rng, 3, 6)), int(rng.choice([-1, 255]))
    label = label_map(rng, (batch, *size), classes, ignore, block=8)
    if shown := bool(rng.integers(3)):
        label[0, 0, 0] = 1
    else:
        label[0] = ignore
    views = [normal(rng, batch, classes, *small).requires_grad_() for _ in range(2)]
    hyper = {"temperature_prototype": side(rng, 3, 9), "temperature_pixel": side(rng, 5, 25)}
    coarse = shrunk(label, small)
    pixels = [
        contrast(pixel_rows(s), pixel_rows(w), hyper["temperature_pixel"])
        for s, w in zip(*views, strict=True)
    ]
    arrays: dict[str, Any] = {
        "in/model_output/strong/small": views[0],
        "in/model_output/weak/small": views[1],
        "out/label": label.astype(np.int16),
        "out/label_small": coarse.astype(np.int16),
    }
    losses = {"pixel": torch.stack(pixels)}
    rows = {"pixel": torch.cat([pixel_rows(view[0]) for view in views])}
    if shown:
        ids = sorted(set(coarse[0].ravel().tolist()) - {ignore})
        both = [class_rows(view[0], coarse[0], ids) for view in views]
        losses["prototype"] = contrast(both[0], both[1], hyper["temperature_prototype"])
        rows["prototype"] = torch.cat(both)
        arrays["out/prototype/classes"] = np.array(ids)
    for level, loss in losses.items():
        gradients = torch.autograd.grad(loss.sum(), views, retain_graph=True)
        arrays |= {f"out/{level}/grad_{v}": g for v, g in zip(("strong", "weak"), gradients, strict=True)}
        similar = (rows[level] @ rows[level].T).detach().fill_diagonal_(-1e5) * hyper[f"temperature_{level}"]
        half = len(similar) // 2
        arrays |= {
            f"out/{level}/loss": loss,
            f"out/{level}/{'logits' if level == 'prototype' else 'logits_sample0'}": similar,
            f"out/{level}/target": np.array([*range(half, 2 * half), *range(half)]),
        }
    content = {
        "hyper_parameters": {**hyper, "ignore_index": ignore, "num_classes": classes},
        "tolerance": {"rtol": 1e-4, "atol": 1e-6},
        "samples_with_prototype_term": [0] if shown else [],
    }
    return Made(content, arrays)


@maker("ehtdi_source_paste")
def source_paste(rng: Rng) -> Made:
    """What is pasted onto other crops, with other eligible classes and ignore values."""
    step = DrawnStep(rng)
    label, mask = step.paste(rng)
    pseudo = step.outputs["target/main"].argmax(1).numpy()
    weak, target = (
        step.crop(step.arrays[f"in/{domain}_image"].numpy(), domain) for domain in ("source", "target")
    )
    labels = {
        "label_source_crop": label,
        "paste_label": np.where(mask, label, 0),
        "pseudo_label_full": pseudo,
        "label_after_paste": np.where(mask, label, step.crop(pseudo, "target")),
    }
    strong = step.arrays["in/target_strong"].numpy()
    results = {
        **{f"out/{name}": value.astype(np.int16) for name, value in labels.items()},
        "out/paste_mask": mask.astype(np.uint8),
        "out/strong_after_paste": np.where(mask[:, None], weak, strong),
        "out/weak_after_paste": np.where(mask[:, None], weak, target),
    }
    tolerance = {"images": {"rtol": 1e-6, "atol": 1e-6}, "labels": "exact"}
    return Made({"hyper_parameters": step.hyper, "tolerance": tolerance}, step.arrays | results)


@maker("ehtdi_boundary_mix")
def boundary_mix(rng: Rng) -> Made:
    """Confident pixels of other crops on top of the source."""
    step = DrawnStep(rng)
    label, mask = step.paste(rng)
    confident = step.confident()
    sure = confident != step.ignore
    weak, target = (
        step.crop(step.arrays[f"in/{domain}_image"].numpy(), domain) for domain in ("source", "target")
    )
    strong = np.where(mask[:, None], weak, step.arrays["in/target_strong"].numpy())
    mixed = np.where(sure, confident, label)
    loss = cross_entropy(step.outputs["mix/main"][:1], mixed[:1], step.ignore)
    (gradient,) = torch.autograd.grad(step.hyper["mix_weight"] * loss, step.outputs["mix/main"])
    labels = {
        "paste_label": np.where(mask, label, 0),
        "confident_label": confident,
        "mixed_label": mixed,
        "confident_label_for_prototypes": np.where(mask, label, confident),
    }
    results = {
        **{f"out/{name}": value.astype(np.int16) for name, value in labels.items()},
        "out/paste_mask": mask.astype(np.uint8),
        "out/mask": sure.astype(np.uint8),
        "out/weak_input_of_network": np.where(mask[:, None], weak, target),
        "out/mixed_image": np.where(sure[:, None], strong, step.arrays["in/source_strong"].numpy()),
        "out/loss_mix": loss,
        "out/gradient/mix_main_logits": gradient,
    }
    content = {"hyper_parameters": step.hyper, "tolerance": {"rtol": 1e-4, "atol": 1e-5}}
    return Made(content, step.arrays | results)
