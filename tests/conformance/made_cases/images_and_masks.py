"""Images and masks of the self-training family, pixel by pixel; colours by Python's own conversions."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .making import Array, Made, Rng, maker, side

_NAMES = ("brightness", "contrast", "saturation", "hue")


def _moved(pixel: Array, operation: int, factor: float) -> Array:
    """One colour in 0..1 after one operation."""
    if operation == 0:
        return np.clip(pixel + factor - 1, 0, 1)
    if operation == 1:
        return np.clip(pixel * factor, 0, 1)
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    saturation *= value / (value + 1e-6)  # the reference divides by a bit more than the value
    if operation == 2:
        saturation = min(saturation * factor, 1)
    else:
        hue = (hue + factor) % 1
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def jittered(
    image: Array, factors: Mapping[str, Array], order: Sequence[int], mean: Array, std: Array
) -> Array:
    """Normalised images with other colours; the factors are one per image."""
    values = [part[:, None, None].astype(np.float64) for part in (mean, std)]
    colours = (image.astype(np.float64) * values[1] + values[0]) / 255
    for b, y, x in np.ndindex(len(image), *image.shape[2:]):
        for operation in order:
            factor = float(factors[_NAMES[operation]][b])
            colours[b, :, y, x] = _moved(colours[b, :, y, x], operation, factor)
    return np.asarray((colours * 255 - values[0]) / values[1])


@maker("color_jitter")
def color_jitter(rng: Rng) -> Made:
    """Other batches, sizes, strengths, orders, means and deviations."""
    mean, std = rng.uniform(90, 130, 3).astype(np.float32), rng.uniform(40, 70, 3).astype(np.float32)
    arrays: dict[str, Any] = {}
    cases = []
    for index in range(side(rng, 1, 2)):
        batch, size = side(rng, 1, 3), (side(rng, 5, 12), side(rng, 5, 12))
        if one := bool(rng.integers(2)):
            strength = dict.fromkeys(_NAMES, round(float(rng.uniform(0.05, 0.5)), 3))
        else:
            strength = {name: round(float(rng.uniform(0.05, 0.5)), 3) for name in _NAMES}
        factors = {
            name: (float(name != "hue") + limit * rng.uniform(-1, 1, batch)).astype(np.float32)
            for name, limit in strength.items()
        }
        order = rng.permutation(4)
        levels = rng.uniform(10, 245, (batch, 3, *size))
        image = ((levels - mean[:, None, None]) / std[:, None, None]).astype(np.float32)
        arrays |= {f"in/{name}_factor{index}": values for name, values in factors.items()}
        arrays |= {f"in/img{index}": image, f"in/order{index}": order}
        arrays[f"out/jittered{index}"] = jittered(image, factors, order.tolist(), mean, std)
        drawn = {f"{name}_factor": values.tolist() for name, values in factors.items()}
        stated = strength["hue"] if one else strength
        cases.append({"index": index, "batch": batch, "strength": stated, "order": order.tolist(), **drawn})
    hyper = {"mean": mean.tolist(), "std": std.tolist()}
    content = {"hyper_parameters": hyper, "random_decisions": {"cases": cases}, "tolerance": {"atol": 2e-5}}
    return Made(content, arrays)


@maker("pseudo_margins")
def margins(rng: Rng) -> Made:
    """Other margins, canvases, sizes and crops, some of them larger than the image."""
    canvas = (side(rng, 60, 90), side(rng, 100, 150))
    top, bottom, left, right = (side(rng, 0, 25) for _ in range(4))
    valid = np.zeros(canvas, dtype=np.uint8)
    valid[top : canvas[0] - bottom, left : canvas[1] - right] = 1
    decisions, arrays = {}, {}
    for name in ("first", "second"):
        box, crop = (side(rng, 30, 90), side(rng, 40, 150)), (side(rng, 20, 70), side(rng, 20, 100))
        scale = min(max(box) / max(canvas), min(box) / min(canvas))
        size = [int(length * scale + 0.5) for length in canvas]
        at = [np.arange(n) * m // n for n, m in zip(size, canvas, strict=True)]
        resized, samples = valid[at[0]][:, at[1]], []
        for index in range(side(rng, 1, 3)):
            y, x = (side(rng, 0, max(n - c, 0)) for n, c in zip(size, crop, strict=True))
            part = resized[y : y + crop[0], x : x + crop[1]]
            flip = bool(rng.integers(2))
            padded = np.full(crop, 255, dtype=np.uint8)
            padded[: part.shape[0], : part.shape[1]] = part[:, ::-1] if flip else part
            place = [y, y + crop[0], x, x + crop[1]]
            samples.append({"index": index, "crop_box_y1_y2_x1_x2": place, "flip": flip})
            arrays[f"out/{name}/mask{index}"] = padded[None]
        decisions[name] = {"resize_to_wh": list(box[::-1]), "crop_size_hw": list(crop), "samples": samples}
    hyper = {
        "crop_pseudo_margins_top_bottom_left_right": [top, bottom, left, right],
        "mask_size_before_resize_hw": list(canvas),
        "image_size_hw": list(canvas),
    }
    content = {"hyper_parameters": hyper, "random_decisions": decisions, "tolerance": {"exact": True}}
    return Made(content, arrays)
