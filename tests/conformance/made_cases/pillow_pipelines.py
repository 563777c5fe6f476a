"""Loaders of FADA, ADVENT and EHTDI, which resize by Pillow, on made images; part of the cases of input pipelines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageFilter

from .making import Array, Rng, plain, side
from .recorded_facts import cityscapes, mapped, restricted

_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CAFFE = np.array([104.00698793, 116.66876762, 122.67891434])
_CAFFE_VGG = np.array([103.939, 116.779, 123.68])

Size = tuple[int, int]


class Frame(NamedTuple):
    """An image with labels."""

    name: str
    image: Array
    label_ids: Array

    @property
    def image_name(self) -> str:
        return f"{self.name}.png"

    @property
    def label_name(self) -> str:
        return f"{self.name}_labelIds.png"

    @property
    def train_name(self) -> str:
        return f"{self.name}_labelTrainIds.png"

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def train_ids(self) -> Array:
        return mapped(self.label_ids, cityscapes()).astype(np.uint8)


def _bicubic(image: Array, size: Size) -> Array:
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _nearest(label: Array, size: Size) -> Array:
    return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))


def _scaled(image: Array) -> Array:
    """Normalised as torchvision does it."""
    return ((image / 255 - _MEAN) / _STD).transpose(2, 0, 1).astype(np.float32)


def _subtracted(image: Array, mean: Array = _CAFFE) -> Array:
    """Blue first, and nothing is divided."""
    return (image[..., ::-1].astype(np.float64) - mean).transpose(2, 0, 1).astype(np.float32)


def _minus(label: Array) -> Array:
    """Labels whose ignored pixels are -1."""
    return np.where(label == 255, -1, label.astype(np.int16)).astype(np.int16)


def _in_classes(frame: Frame, classes: int) -> Array:
    return mapped(frame.label_ids, restricted(cityscapes(), classes)).astype(np.uint8)


def _gap(first: Array, second: Array) -> dict[str, float]:
    gap = np.abs(first.astype(np.float64) - second)
    return {"max_abs": float(gap.max()), "mean_abs": float(gap.mean())}


def _sides(rng: Rng) -> Size:
    return side(rng, 20, 80), side(rng, 20, 80)


def _fada(rng: Rng, source: Frame, target: Frame) -> tuple[dict[str, Any], dict[str, Array], dict[str, Any]]:
    train, test = _sides(rng), _sides(rng)
    tested, bilinear = _bicubic(target.image, test), cv2.resize(target.image, test)
    arrays = {
        "fada_train_gta_img": _scaled(_bicubic(source.image, train)),
        "fada_train_gta_label": _nearest(source.train_ids, train),
        "fada_test_city_img": _scaled(tested),
        "fada_test_city_img_to_bgr255": _subtracted(tested, _CAFFE_VGG),
        "fada_test_city_label": target.train_ids,
        "fada_test_city_label16": _in_classes(target, 16),
    }
    named = {"fada_train_gta_img": source.image_name, "fada_test_city_img": target.image_name}
    stated = {"train_size_wh": train, "test_size_wh": test, "mean": _MEAN, "std": _STD, "arrays": named}
    same = "FADA normalisation (/255, 0.485.., 0.229..) vs mmseg (123.675.., 58.395..) on identical pixels"
    quantified = {
        "FADA test input: cv2 bilinear instead of PIL bicubic (normalised units)": _gap(
            _scaled(tested), _scaled(bilinear)
        ),
        same: {"max_abs": 0.0, "mean_abs": 0.0},
    }
    return stated, arrays, quantified


def _advent(
    rng: Rng, source: Frame, target: Frame
) -> tuple[dict[str, Any], dict[str, Array], dict[str, Any]]:
    train, test = _sides(rng), _sides(rng)
    tested, bilinear = _bicubic(target.image, test), cv2.resize(target.image, test)
    arrays = {
        "advent_gta_img": _subtracted(_bicubic(source.image, train)),
        "advent_gta_label": _nearest(source.train_ids, train),
        "advent_city_img": _subtracted(tested),
        "advent_city_label": target.train_ids,
        "advent_city_label_at_input_size": _nearest(target.train_ids, test),
    }
    stated = {"mean_bgr": _CAFFE, "train_size_wh": train, "test_size_wh": test}
    quantified = {
        "ADVENT test input: cv2 bilinear instead of PIL bicubic (grey levels)": _gap(tested, bilinear),
        "ADVENT test input: RGB instead of BGR (grey levels)": _gap(tested, tested[..., ::-1]),
    }
    return stated, arrays, quantified


def _drawn(source: Frame, size: Size, seed: int) -> tuple[dict[str, Any], Array, Array]:
    """Mirrored, resized and blurred as Python's generator says."""
    draws = random.Random(seed)
    mirror, blurred = draws.random() < 0.5, draws.random() < 0.5
    radius, step = draws.random() if blurred else None, -1 if mirror else 1
    image, label = (np.ascontiguousarray(part[:, ::step]) for part in (source.image, source.train_ids))
    shown = Image.fromarray(_bicubic(image, size))
    if radius is not None:
        shown = shown.filter(ImageFilter.GaussianBlur(radius))
    decided = {"mirror": mirror, "gaussian_blur": blurred, "blur_radius": radius}
    return {"python_random_seed": seed, **decided}, np.asarray(shown), _nearest(label, size)


def _ehtdi(rng: Rng, source: Frame, target: Frame) -> tuple[dict[str, Any], dict[str, Array]]:
    train, validation = _sides(rng), _sides(rng)
    arrays = {"ehtdi_val_city_img": _subtracted(_bicubic(target.image, validation))}
    for suffix, classes in (("", 19), ("16", 16), ("13", 13)):
        label = _nearest(_in_classes(target, classes), validation)
        arrays[f"ehtdi_val_city_label{suffix}"] = _minus(label)
    cases = []
    for number in range(side(rng, 2, 4)):
        decided, image, label = _drawn(source, train, side(rng, 0, 9999))
        key = f"ehtdi_case_{number}"
        cases.append({"key": key, **decided})
        arrays |= {f"{key}_img": _subtracted(image), f"{key}_label": _minus(label)}
    sizes = {"train_size_wh": train, "val_size_wh": validation}
    return {"mean_bgr": _CAFFE, **sizes, "train_cases": cases}, arrays


def pillow_files(rng: Rng, source: Frame, target: Frame) -> Mapping[str, Any]:
    """Files of the loaders."""
    fada, advent = _fada(rng, source, target), _advent(rng, source, target)
    stated, arrays = _ehtdi(rng, source, target)
    content = {"fada": fada[0], "advent": advent[0], "ehtdi": stated, "quantified": fada[2] | advent[2]}
    return {
        "pil_pipelines.json": plain(content),
        "pil_pipelines.npz": fada[1] | advent[1] | arrays,
    }
