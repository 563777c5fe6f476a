"""Input pipelines of the references on two recorded images, through the production training stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from adaptbench.data import transforms
from adaptbench.data.files import read_image, read_index_image
from adaptbench.data.framing import Crops, Size, WholeImages
from adaptbench.data.normalisation import IMAGENET
from adaptbench.data.pseudo_margins import Margins, crop_mask, margin_mask
from adaptbench.data.sampling import Sampling
from adaptbench.data.taxonomy import label_map

from ..case import Array, Case
from ..image_files import ImageFile, NumpyRandom
from ..pil_pipelines import Stretched, check_pil_pipelines
from ..recorded_tree import RecordedTree
from ..registry import handler

#: "images 1e-6 (mmseg)", README of the recorded data.
_IMAGE = 1e-6
_TRAIN_IDS = label_map("cityscapes_train", "cityscapes19")


@handler("preprocess")
def check(case: Case) -> None:
    reference = RecordedTree(case, case.path / "ref016_pipelines.json")
    port = RecordedTree(case, case.path / "mmseg122_vs_ref016.json")
    with np.load(case.path / "ref016_pipelines.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    for number in range(len(reference.content["train"])):
        _check_training(case, reference, port, number, arrays)
    for number in range(len(reference.content["test"])):
        _check_test(case, reference, port, number, arrays)
    for number, recorded in enumerate(reference.value("pseudo")):
        _check_margins(case, recorded, arrays, number)
    assert not arrays, f"recorded arrays without a pipeline: {', '.join(arrays)}"
    _check_orientation(case, reference)
    _check_sizes(port)
    _check_interpolation(case, port)
    reference.finish(["versions/*", "pipeline", "train/*/out_*_dtype"])
    port.finish(["versions/*", "pitfalls/*", "train/*dtype"])
    check_pil_pipelines(case)


def _labelled(case: Case, recorded: Mapping[str, Any]) -> ImageFile:
    return ImageFile(case.path, recorded["image"], recorded["label"])


def _pair(values: Any) -> Size:
    return int(values[0]), int(values[1])


def _check_training(
    case: Case, reference: RecordedTree, port: RecordedTree, number: int, arrays: dict[str, Array]
) -> None:
    """The recorded seed drives the generator that crops and mirrors were drawn with."""
    at = f"train/{number}"
    recorded, name = reference.content["train"][number], reference.value(f"{at}/name")
    frame, box, (height, width) = (
        _labelled(case, recorded),
        _pair(recorded["img_scale"]),
        recorded["crop_size_hw"],
    )
    rng = NumpyRandom(recorded["numpy_seed"])
    settings = {"class_share_limit": recorded["cat_max_ratio"]}
    sampling = Sampling(framing=Crops(crop=(width, height)))
    image, label = frame.trained(box, _TRAIN_IDS, sampling, IMAGENET, rng, **settings)
    case.expect(f"train_{name}_img", image, arrays[f"train_{name}_img"], atol=_IMAGE)
    case.expect(f"train_{name}_gt", label, arrays[f"train_{name}_gt"])
    tried = [
        [top, top + height, left, left + width] for top, left in zip(*[iter(rng.drawn)] * 2, strict=True)
    ]
    next_draw = rng.random()
    for key in ("image", "label", "img_scale", "crop_size_hw", "cat_max_ratio", "numpy_seed"):
        reference.value(f"{at}/{key}")
    reference.expect(f"{at}/crop_bboxes_tried_y1y2x1x2", tried)
    reference.expect(f"{at}/crop_bbox_used", tried[-1])
    reference.expect(f"{at}/next_np_random_rand_after_pipeline", next_draw)
    reference.expect(f"{at}/out_gt_shape", label.shape)
    reference.expect(f"{at}/pad_shape", [*image.shape[1:], 3])
    resized = _check_resized(reference, at, frame, box, "resized_shape_hwc")
    reference.expect(f"{at}/img_shape_before_pad", [min(height, resized[0]), min(width, resized[1]), 3])
    flip = reference.value(f"{at}/flip")
    stretched = frame.trained(
        box,
        _TRAIN_IDS,
        Sampling(framing=Stretched(crop=(width, height))),
        IMAGENET,
        NumpyRandom(recorded["numpy_seed"]),
        **settings,
    )
    ours = image.numpy(), label.numpy()
    theirs = arrays.pop(f"train_{name}_img"), arrays.pop(f"train_{name}_gt")
    _expect_difference(port, f"{at}/img", ours[0], theirs[0])
    port.expect(f"{at}/gt_equal", np.array_equal(ours[1], theirs[1]))
    _check_pitfalls(port, at, ours, (stretched[0].numpy(), stretched[1].numpy()))
    port.expect(f"{at}/name", name)
    port.expect(f"{at}/flip", flip)
    port.expect(f"{at}/next_np_random_rand", next_draw)
    _check_padding(port, at, image.numpy(), resized, flip)


def _check_resized(
    reference: RecordedTree, at: str, image: ImageFile, box: Size, key: str
) -> tuple[int, int]:
    """Height and width after resizing."""
    height, width = image.read().shape[:2]
    size = Crops().size((width, height), box)
    reference.expect(f"{at}/{key}", [size[1], size[0], 3])
    factors = [size[0] / width, size[1] / height]
    reference.expect(f"{at}/scale_factor", factors * 2, atol=_IMAGE)
    return size[1], size[0]


def _check_pitfalls(
    port: RecordedTree, at: str, ours: tuple[Array, Array], stretched: tuple[Array, Array]
) -> None:
    """Our pipeline stands for the port: it is off by as much where the port may go wrong."""
    for name, first, second in zip(("img", "gt"), ours, stretched, strict=True):
        _expect_difference(port, f"{at}/resize_default_keep_ratio_false/{name}", first, second)
    mean, std = (np.array(v, dtype=np.float32)[:, None, None] for v in (IMAGENET.mean, IMAGENET.std))
    shown = np.where(np.any(ours[0] != 0, axis=0), ours[0] * std + mean, mean)
    swapped = np.where(np.any(ours[0] != 0, axis=0), (np.round(shown)[::-1] - mean) / std, 0)
    _expect_difference(port, f"{at}/bgr_to_rgb_false", ours[0], swapped)


def _expect_difference(tree: RecordedTree, at: str, first: Array, second: Array) -> None:
    """Largest and mean absolute difference."""
    difference = np.abs(first.astype(np.float64) - second)
    tree.expect(f"{at}/max_abs", difference.max(), atol=1e-5)
    tree.expect(f"{at}/mean_abs", difference.mean(), atol=1e-5)
    for key, number in (("n_different", np.count_nonzero(difference > _IMAGE)), ("n", difference.size)):
        if f"{at}/{key}" in tree:
            tree.expect(f"{at}/{key}", number)


def _check_padding(port: RecordedTree, at: str, image: Array, resized: tuple[int, int], flip: bool) -> None:
    folder = f"{at}/Pad_transform_before_normalise"
    if folder not in port:
        return
    mean, std = np.array(IMAGENET.mean), np.array(IMAGENET.std)
    padded = image.copy()
    padded[:, resized[0] :] = padded[:, :, resized[1] :] = (-mean / std)[:, None, None]
    port.expect(f"{folder}/value_in_padded_area_per_channel", -mean / std, atol=_IMAGE)
    port.expect(f"{folder}/reference_value_in_padded_area", image[:, -1, -1])
    _expect_difference(port, f"{folder}/img", image, padded)
    for key in ("max_abs", "mean_abs", "n_different"):
        port.expect(f"{folder}/gt/{key}", 0)
    port.expect(f"{folder}/gt/n", image[0].size)


def _check_test(
    case: Case, reference: RecordedTree, port: RecordedTree, number: int, arrays: dict[str, Array]
) -> None:
    at = f"test/{number}"
    recorded, name = reference.content["test"][number], reference.value(f"{at}/name")
    stem = Path(recorded["image"]).stem
    frame, box = (
        ImageFile(case.path, recorded["image"], f"{stem}_labelTrainIds.png"),
        _pair(recorded["img_scale"]),
    )
    image = frame.tested(box, Crops(), IMAGENET).numpy()
    theirs = arrays.pop(f"test_{name}_img")
    case.expect(f"test_{name}_img", image, theirs, atol=_IMAGE)
    for key in ("image", "img_scale"):
        reference.value(f"{at}/{key}")
    original = frame.read().shape
    reference.expect(f"{at}/out_shape_chw", image.shape)
    reference.expect(f"{at}/ori_shape", original)
    reference.expect(f"{at}/flip", False)
    resized = _check_resized(reference, at, frame, box, "img_shape")
    port.expect(f"{at}/name", name)
    _expect_difference(port, f"{at}/img", image, theirs)
    port.expect(f"{at}/gt_shape_kept_at_original", [1, *frame.read_label().shape])
    port.expect(f"{at}/gt_shape_if_LoadAnnotations_precedes_Resize", [1, *resized])
    port.expect(f"{at}/meta/ori_shape", original[:2])
    port.expect(f"{at}/meta/img_shape", resized)
    factors = [resized[1] / original[1], resized[0] / original[0]]
    port.expect(f"{at}/meta/scale_factor", factors, atol=_IMAGE)


def _check_margins(case: Case, recorded: Mapping[str, Any], arrays: dict[str, Array], number: int) -> None:
    height, width = read_image(case.path / recorded["image"]).shape[:2]
    margins = Margins(*recorded["margins_top_bottom_left_right"])
    mask = margin_mask(margins, (width, height), _pair(recorded["img_scale"]), canvas="image")
    rng, (crop_height, crop_width) = NumpyRandom(recorded["numpy_seed"]), recorded["crop_size_hw"]
    top = rng.integers(max(mask.shape[0] - crop_height, 0) + 1)
    left = rng.integers(max(mask.shape[1] - crop_width, 0) + 1)
    box = [top, top + crop_height, left, left + crop_width]
    case.expect(f"pseudo/{number}/crop_bbox_used", box, recorded["crop_bbox_used"])
    case.expect(f"pseudo/{number}/flip", rng.random() < 0.5, recorded["flip"])
    crop = (slice(box[0], box[1]), slice(box[2], box[3]))
    found = crop_mask(mask, crop, recorded["flip"], (crop_height, crop_width))
    case.expect("pseudo_mask", found[None], arrays.pop("pseudo_mask"))
    case.expect(f"pseudo/{number}/unique_values", np.unique(found), recorded["unique_values"])
    case.expect(f"pseudo/{number}/dtype", str(found.dtype), recorded["dtype"])


def _check_orientation(case: Case, reference: RecordedTree) -> None:
    """Images are read as their label files lie, whatever EXIF says."""
    path = case.path / reference.value("exif/file")
    image = read_image(path)
    with np.load(case.path / "exif_expected.npz") as archive, Image.open(path) as frame:
        case.expect("pil_bgr", image[..., ::-1], archive["pil_bgr"])
        turned = np.asarray(ImageOps.exif_transpose(frame).convert("RGB"))
        case.expect("cv2_color_bgr", turned[..., ::-1], archive["cv2_color_bgr"])
    reference.expect("exif/mmcv_imread_color_shape", turned.shape)
    reference.expect("exif/pil_open_shape", image.shape)
    reference.expect("exif/mmcv_flag_color_ignore_orientation_shape", image.shape)


def _check_sizes(port: RecordedTree) -> None:
    """Keys like ``gta 1914x1052 -> (1280,720)``."""
    for key in port.content["official_sizes_keep_ratio_wh"]:
        described, _, box = key.partition(" -> ")
        width, height = (int(side) for side in described.rpartition(" ")[2].split("x"))
        sides = [int(side) for side in box.strip("()").split(",")]
        found = transforms.fitted_size((width, height), (sides[0], sides[1]))
        port.expect(f"official_sizes_keep_ratio_wh/{key}", found)


def _check_interpolation(case: Case, port: RecordedTree) -> None:
    """How far ways of resizing are apart; two of them are ours."""
    with np.load(case.path / "nearest_label_expected.npz") as archive:
        nearest = {name: archive[name] for name in archive.files}
    for key in port.content["nearest_label_pixels_differing"]:
        name, size = _described(key)
        label = read_index_image(case.path / f"{name}.png")
        pillow, opencv = WholeImages().label(label, size), Crops().label(label, size)
        case.expect("pil_nearest", pillow, nearest["pil_nearest"])
        case.expect("cv2_nearest", opencv, nearest["cv2_nearest"])
        case.expect("cv2_nearest_exact", pillow, nearest["cv2_nearest_exact"])
        at = f"nearest_label_pixels_differing/{key}"
        port.expect(f"{at}/PIL_nearest_vs_cv2_nearest", np.count_nonzero(pillow != opencv))
        port.expect(f"{at}/PIL_nearest_vs_cv2_nearest_exact", 0)
        port.expect(f"{at}/total", pillow.size)
    for key in port.content["interpolation_uint8_levels"]:
        name, size = _described(key)
        image, at = read_image(case.path / f"{name}.png"), f"interpolation_uint8_levels/{key}"
        ways = _resized_in_all_ways(image, size)
        for pair in port.content["interpolation_uint8_levels"][key]:
            first, _, second = pair.partition(" vs ")
            _expect_difference(port, f"{at}/{pair}", ways[first], ways[second])


def _described(key: str) -> tuple[str, Size]:
    name, _, size = key.partition(" -> ")
    width, _, height = size.partition("x")
    return name, (int(width), int(height))


def _resized_in_all_ways(image: Array, size: Size) -> Mapping[str, Array]:
    """By production code, and by the libraries where production resizes in no such way."""
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]
    by_torch = [
        interpolate(pixels, size[::-1], mode="bilinear", antialias=smooth)[0].numpy().transpose(1, 2, 0)
        for smooth in (False, True)
    ]
    return {
        "PIL bicubic": WholeImages("bicubic").image(image, size),
        "PIL bilinear (antialiased)": WholeImages("bilinear").image(image, size),
        "PIL bilinear": WholeImages("bilinear").image(image, size),
        "cv2 bilinear": Crops().image(image, size),
        "cv2 bicubic": _by_opencv(image, size),
        "torch bilinear": by_torch[0],
        "torch bilinear antialias": by_torch[1],
    }


def _by_opencv(image: Array, size: Size) -> Array:
    """Bicubic by OpenCV, whose fast paths round a value near one half in another way on every kind of processor."""
    import cv2

    fast = cv2.useOptimized()
    cv2.setUseOptimized(False)
    try:
        resized = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    finally:
        cv2.setUseOptimized(fast)
    return np.rint(resized).clip(0, 255).astype(np.uint8)
