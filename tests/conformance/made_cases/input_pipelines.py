"""Input pipelines of mmsegmentation, step by step, on made images; those that resize by Pillow are beside this."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from .making import Array, MadeFolder, Rng, image_file, label_map, maker, plain, side
from .pillow_pipelines import Frame, pillow_files

MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
_EXIF = 0x0112


def normalised(image: Array) -> Array:
    """Colours of a network. Shape: ``(H, W, 3)`` to ``(3, H, W)``."""
    return ((image.astype(np.float64) - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)


def fitted(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same ratio; the box has no orientation."""
    scale = min(max(box) / max(size), min(box) / min(size))
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def difference(first: Array, second: Array) -> dict[str, Any]:
    """How far apart two arrays are."""
    gap = np.abs(first.astype(np.float64) - second.astype(np.float64))
    far = {"n_different": np.count_nonzero(gap > 1e-6), "n": gap.size}
    return {"max_abs": gap.max(), "mean_abs": gap.mean(), **far}


class _Trained(NamedTuple):
    """What a training pipeline makes, before it is padded, and what was drawn."""

    image: Array
    label: Array
    tried: list[list[int]]
    flip: bool
    next_draw: float
    resized: tuple[int, int]

    def padded(self, image: Array, size: tuple[int, int], value: Any = 0.0) -> Array:
        """Filled up below and to the right. Shape: ``(3, h, w)`` to ``(3, *size)``."""
        canvas = np.zeros((3, *size), dtype=np.float32) + np.reshape(value, (-1, 1, 1)).astype(np.float32)
        canvas[:, : image.shape[1], : image.shape[2]] = image
        return canvas

    def padded_label(self, size: tuple[int, int]) -> Array:
        canvas = np.full((1, *size), 255, dtype=np.uint8)
        canvas[0, : self.label.shape[0], : self.label.shape[1]] = self.label
        return canvas


def _balanced(label: Array, limit: float) -> bool:
    """Whether no class has more than its share of the labelled pixels."""
    pixels = np.unique(label[label != 255], return_counts=True)[1]
    return len(pixels) > 1 and pixels.max() / pixels.sum() < limit


def _trained(frame: Frame, size: tuple[int, int], crop: tuple[int, int], limit: float, seed: int) -> _Trained:
    """Resized, cropped and mirrored; crops are drawn again, ten times at most, where one class fills them."""
    image = cv2.resize(frame.image, size, interpolation=cv2.INTER_LINEAR)
    label = cv2.resize(frame.train_ids, size, interpolation=cv2.INTER_NEAREST)
    state, tried = np.random.RandomState(seed), []
    for attempt in range(11):
        top, left = (int(state.randint(0, max(n - c, 0) + 1)) for n, c in zip(label.shape, crop, strict=True))
        tried.append([top, top + crop[0], left, left + crop[1]])
        part = (slice(top, top + crop[0]), slice(left, left + crop[1]))
        if limit >= 1 or attempt == 10 or _balanced(label[part], limit):
            break
    flip = bool(state.rand() < 0.5)
    step = -1 if flip else 1
    shown = image[part][:, ::step], label[part][:, ::step]
    return _Trained(*shown, tried, flip, float(state.rand()), (size[1], size[0]))


def _training(
    rng: Rng, frame: Frame, name: str, arrays: dict[str, Array]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One training pipeline as the reference has it, and as its port has it."""
    box, crop = (side(rng, 30, 110), side(rng, 30, 110)), (side(rng, 16, 60), side(rng, 16, 60))
    limit, seed = (0.3, 0.75, 1.0)[side(rng, 0, 2)], side(rng, 0, 10_000)
    found = _trained(frame, fitted(frame.size, box), crop, limit, seed)
    shown, label = normalised(found.image), found.padded_label(crop)
    image = found.padded(shown, crop)
    arrays |= {f"train_{name}_img": image, f"train_{name}_gt": label}
    factors = [found.resized[1] / frame.size[0], found.resized[0] / frame.size[1]]
    reference = {
        "name": name,
        "image": frame.image_name,
        "label": frame.train_name,
        "img_scale": box,
        "crop_size_hw": crop,
        "cat_max_ratio": limit,
        "numpy_seed": seed,
        "resized_shape_hwc": [*found.resized, 3],
        "crop_bboxes_tried_y1y2x1x2": found.tried,
        "crop_bbox_used": found.tried[-1],
        "flip": found.flip,
        "next_np_random_rand_after_pipeline": found.next_draw,
        "img_shape_before_pad": found.image.shape,
        "pad_shape": [*crop, 3],
        "out_gt_shape": [1, *crop],
        "scale_factor": factors * 2,
    }
    other = _trained(frame, box, crop, limit, seed)
    swapped = found.padded(normalised(found.image[..., ::-1]), crop)
    port = {
        "name": name,
        "img": difference(image, image),
        "gt_equal": True,
        "next_np_random_rand": found.next_draw,
        "flip": found.flip,
        "resize_default_keep_ratio_false": {
            "img": difference(image, other.padded(normalised(other.image), crop)),
            "gt": difference(label, other.padded_label(crop)),
        },
        "bgr_to_rgb_false": difference(image, swapped),
    }
    if found.label.shape != crop:
        port["Pad_transform_before_normalise"] = {
            "img": difference(image, found.padded(shown, crop, -MEAN / STD)),
            "gt": difference(label, label),
            "value_in_padded_area_per_channel": -MEAN / STD,
            "reference_value_in_padded_area": [0.0, 0.0, 0.0],
        }
    return reference, port


def _tested(
    rng: Rng, frame: Frame, name: str, arrays: dict[str, Array]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A whole image, whose label stays as it is."""
    box = side(rng, 20, 110), side(rng, 20, 110)
    size = fitted(frame.size, box)
    image = normalised(cv2.resize(frame.image, size, interpolation=cv2.INTER_LINEAR))
    arrays[f"test_{name}_img"] = image
    shape, resized = frame.image.shape, (size[1], size[0])
    factors = [size[0] / frame.size[0], size[1] / frame.size[1]]
    reference = {
        "name": name,
        "image": frame.image_name,
        "img_scale": box,
        "out_shape_chw": image.shape,
        "ori_shape": shape,
        "img_shape": [*resized, 3],
        "scale_factor": factors * 2,
        "flip": False,
    }
    port = {
        "name": name,
        "img": difference(image, image),
        "gt_shape_kept_at_original": [1, *shape[:2]],
        "gt_shape_if_LoadAnnotations_precedes_Resize": [1, *resized],
        "meta": {"ori_shape": shape[:2], "img_shape": resized, "scale_factor": factors},
    }
    return reference, port


def _margins(rng: Rng, frame: Frame, arrays: dict[str, Array]) -> dict[str, Any]:
    """A mask of valid pixels, cropped and padded with 255."""
    box, crop, seed = (
        (side(rng, 30, 90), side(rng, 30, 90)),
        (side(rng, 20, 70), side(rng, 20, 70)),
        side(rng, 0, 999),
    )
    top, bottom, left, right = (side(rng, 0, 9) for _ in range(4))
    valid = np.zeros(frame.train_ids.shape, dtype=np.uint8)
    valid[top : frame.size[1] - bottom, left : frame.size[0] - right] = 1
    size = fitted(frame.size, box)
    mask = cv2.resize(valid, size, interpolation=cv2.INTER_NEAREST)
    state = np.random.RandomState(seed)
    y, x = (int(state.randint(0, max(n - c, 0) + 1)) for n, c in zip(mask.shape, crop, strict=True))
    flip = bool(state.rand() < 0.5)
    part = mask[y : y + crop[0], x : x + crop[1]][:, :: -1 if flip else 1]
    padded = np.full((1, *crop), 255, dtype=np.uint8)
    padded[0, : part.shape[0], : part.shape[1]] = part
    arrays["pseudo_mask"] = padded
    return {
        "name": "margins",
        "image": frame.image_name,
        "img_scale": box,
        "crop_size_hw": crop,
        "margins_top_bottom_left_right": [top, bottom, left, right],
        "numpy_seed": seed,
        "crop_bbox_used": [y, y + crop[0], x, x + crop[1]],
        "flip": flip,
        "unique_values": np.unique(padded),
        "dtype": "uint8",
    }


def _turned(image: Array, orientation: int) -> Array:
    """The image as a viewer shows it. Source: EXIF 2.3, tag 0x0112, first row and first column."""
    ways = {2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1], 5: image.swapaxes(0, 1)}
    sideways = image.swapaxes(0, 1)
    ways |= {6: sideways[:, ::-1], 7: sideways[::-1, ::-1], 8: sideways[::-1]}
    return np.ascontiguousarray(ways[orientation])


def _orientation(rng: Rng, frame: Frame) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """A photograph that says it lies on its side."""
    orientation, stream, name = side(rng, 2, 8), io.BytesIO(), "turned.jpg"
    exif = Image.Exif()
    exif[_EXIF] = orientation
    smooth = cv2.GaussianBlur(frame.image, (9, 9), 4)
    Image.fromarray(smooth).save(stream, "JPEG", exif=exif)
    image = np.asarray(Image.open(stream))
    shown = _turned(image, orientation)
    stated = {
        "file": name,
        "mmcv_imread_color_shape": shown.shape,
        "pil_open_shape": image.shape,
        "mmcv_flag_color_ignore_orientation_shape": image.shape,
    }
    arrays = {"pil_bgr": image[..., ::-1], "cv2_color_bgr": shown[..., ::-1]}
    return stated, {name: stream.getvalue(), "exif_expected.npz": arrays}


def _ways(image: Array, size: tuple[int, int]) -> Mapping[str, Array]:
    """The image at another size, by several libraries."""
    pixels = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]
    rows = (size[1], size[0])
    plainly, smoothly = (
        interpolate(pixels, rows, mode="bilinear", antialias=smooth)[0].numpy().transpose(1, 2, 0)
        for smooth in (False, True)
    )
    source = Image.fromarray(image)
    bilinear = np.asarray(source.resize(size, Image.Resampling.BILINEAR))
    return {
        "PIL bicubic": np.asarray(source.resize(size, Image.Resampling.BICUBIC)),
        "PIL bilinear": bilinear,
        "PIL bilinear (antialiased)": bilinear,
        "cv2 bilinear": cv2.resize(image, size, interpolation=cv2.INTER_LINEAR),
        "torch bilinear": plainly,
        "torch bilinear antialias": smoothly,
    }


def _interpolation(rng: Rng, frame: Frame) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """How far ways of resizing are apart, for a label and an image."""
    size = side(rng, 20, 90), side(rng, 20, 90)
    pillow = np.asarray(Image.fromarray(frame.label_ids).resize(size, Image.Resampling.NEAREST))
    opencv = cv2.resize(frame.label_ids, size, interpolation=cv2.INTER_NEAREST)
    labels = {
        "PIL_nearest_vs_cv2_nearest": np.count_nonzero(pillow != opencv),
        "PIL_nearest_vs_cv2_nearest_exact": 0,
        "total": pillow.size,
    }
    ways = _ways(frame.image, size)
    pairs = [rng.permutation(sorted(ways))[:2].tolist() for _ in range(3)]
    levels = {
        f"{first} vs {second}": {
            k: v for k, v in difference(ways[first], ways[second]).items() if k[0] == "m"
        }
        for first, second in pairs
    }
    at = f"{size[0]}x{size[1]}"
    stated = {
        "nearest_label_pixels_differing": {f"{frame.name}_labelIds -> {at}": labels},
        "interpolation_uint8_levels": {f"{frame.name} -> {at}": levels},
    }
    arrays = {"pil_nearest": pillow, "cv2_nearest": opencv, "cv2_nearest_exact": pillow}
    return stated, {"nearest_label_expected.npz": arrays}


def _frame(rng: Rng, name: str) -> Frame:
    """A smooth image with noise, and blocks of labels."""
    height, width = side(rng, 30, 60), side(rng, 40, 90)
    coarse = rng.integers(0, 256, (side(rng, 3, 6), side(rng, 3, 6), 3)).astype(np.uint8)
    image = cv2.resize(coarse, (width, height)).astype(np.int64) + rng.integers(-20, 21, (height, width, 3))
    labels = label_map(rng, (height, width), 34, 0, block=side(rng, 4, 9)).astype(np.uint8)
    return Frame(name, image.clip(0, 255).astype(np.uint8), labels)


def _official_sizes(rng: Rng) -> dict[str, tuple[int, int]]:
    sizes = {}
    for number in range(4):
        size, box = ((side(rng, 400, 4000), side(rng, 400, 4000)) for _ in range(2))
        sizes[f"camera {number} {size[0]}x{size[1]} -> ({box[0]},{box[1]})"] = fitted(size, box)
    return sizes


@maker("preprocess")
def preprocess(rng: Rng) -> MadeFolder:
    """Other images, names, sizes, crops, seeds, margins, orientations and interpolations."""
    frames = [_frame(rng, name) for name in ("first_scene", "other")]
    arrays: dict[str, Array] = {}
    trained = [_training(rng, frames[i % 2], f"case_{i}", arrays) for i in range(side(rng, 3, 5))]
    tested = [_tested(rng, frames[i % 2], f"whole_{i}", arrays) for i in range(side(rng, 1, 3))]
    exif, turned = _orientation(rng, frames[0])
    interpolation, nearest = _interpolation(rng, frames[1])
    reference = {
        "train": [ours for ours, _ in trained],
        "test": [ours for ours, _ in tested],
        "pseudo": [_margins(rng, frames[0], arrays)],
        "exif": exif,
    }
    port = {
        "train": [theirs for _, theirs in trained],
        "test": [theirs for _, theirs in tested],
        "official_sizes_keep_ratio_wh": _official_sizes(rng),
        **interpolation,
    }
    files: dict[str, Any] = {}
    for frame in frames:
        files[frame.image_name] = image_file(frame.image)
        files[frame.label_name] = image_file(frame.label_ids)
        files[frame.train_name] = image_file(frame.train_ids)
    return MadeFolder(
        {
            "ref016_pipelines.json": plain(reference),
            "ref016_pipelines.npz": arrays,
            "mmseg122_vs_ref016.json": plain(port),
            **files,
            **turned,
            **nearest,
            **pillow_files(rng, frames[0], frames[1]),
        }
    )
