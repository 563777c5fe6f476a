"""VFM-UDA's tests in windows, and the names of its published files."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from adaptbench import networks
from adaptbench.adaptation.seg_loss import IGNORE
from adaptbench.data.framing import RescaledCrops, nearest
from adaptbench.data.label_ids import train_ids
from adaptbench.data.pseudo_margins import Margins, crop_mask, trusted_pixels
from adaptbench.data.rare_class_sampling import class_probabilities, class_totals, eligible_files
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import label_map
from adaptbench.data.transforms import draw_labelled_crop, label_input
from adaptbench.evaluation.confusion import confusion_matrix
from adaptbench.evaluation.metrics import iou
from adaptbench.networks.inference import probability, segment, windows
from adaptbench.networks.pretrained.foundation import VFM_UDA
from methods.vfm_uda_source import VFMUDASource

from ..case import Case
from ..registry import handler
from ..vfm_uda_parts import load, network_of, normalised
from ..vfm_uda_training import Decisions, Scripted, method_of


@handler("vfmuda_inference")
def check_windows(case: Case) -> None:
    """The method's own windows; every dataset has a confusion matrix of its own, in which absent classes score 0."""
    network = network_of(case)
    load(case, network)
    side, classes = case.hyper("net")["img_size"], case.hyper("net")["num_classes"]
    mode = method_of(case, network, crop=side).inference()
    matrices: dict[int, Any] = {}
    for number, item in enumerate(case.hyper("images")):
        prefix = f"out/image_{number}/"
        image, label = _resized(case, number)
        size = (image.shape[0], image.shape[1])
        case.compare(f"{prefix}resized", image.transpose(2, 0, 1))
        case.compare(f"{prefix}label", label)
        places = list(windows(size, mode.crop, mode.stride))
        case.compare(f"{prefix}windows", [[r.start, r.stop, c.start, c.stop] for r, c in places])
        count = np.zeros((1, *size), np.uint8)
        for rows, columns in places:
            count[:, rows, columns] += 1
        case.compare(f"{prefix}count", count)
        shown = normalised(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])
        found = probability(network.eval(), shown, mode, size)
        case.compare(f"{prefix}probability_stride3", found[:, ::3, ::3])
        best = found.topk(2, dim=0).values
        prediction = segment(network, shown, mode, size)
        case.compare(f"{prefix}prediction", prediction, where=best[0] - best[1] > 1e-5)
        matrix = confusion_matrix(label, prediction.numpy(), classes)
        matrices[item["dataset"]] = matrices.get(item["dataset"], 0) + matrix
    for dataset, matrix in matrices.items():
        each = np.nan_to_num(iou(matrix))
        case.compare(f"out/confusion_{dataset}", matrix)
        case.compare(f"out/iou_{dataset}", each)
        case.compare(f"out/miou_{dataset}", each.mean())


def _resized(case: Case, number: int) -> tuple[Any, Any]:
    """Image and label with the shorter side of the case, by Pillow. Shape: ``(H, W, 3)`` and ``(H, W)`` uint8."""
    image, label = case.all_arrays[f"in/image_{number}"], case.all_arrays[f"in/label_{number}"]
    height, width = label.shape
    scale = case.hyper("resize_short_side") / min(height, width)
    size = (round(width * scale), round(height * scale))
    frame = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    resized = np.asarray(frame.resize(size, Image.Resampling.BILINEAR))
    return resized, nearest(label, size)


@handler("vfmuda_published_state_dicts")
def check_names(case: Case) -> None:
    for size, published in case.json["networks"].items():
        with torch.device("meta"):
            network = networks.build(f"vfm_uda-dinov2_{size.split('_')[1]}", case.hyper("num_classes"))
        state = network.state_dict()
        (prefix,) = VFM_UDA.student
        names = {
            prefix + name: torch.empty(shape, device="meta") for name, shape in published["keys"].items()
        }
        found = VFM_UDA.convert({name.removeprefix(prefix): tensor for name, tensor in names.items()})
        shapes = {name: list(tensor.shape) for name, tensor in found.items()}
        case.expect(
            f"names and shapes of {size}", shapes == {k: list(v.shape) for k, v in state.items()}, True
        )
        case.expect(
            f"parameters of {size}", sum(t.numel() for t in network.parameters()), published["parameters"]
        )
    prefixes = sorted(prefix.rstrip(".") for prefix in (*VFM_UDA.student, *VFM_UDA.teacher))
    case.expect("prefixes", prefixes == sorted(case.json["checkpoint_prefixes"]), True)


@handler("vfmuda_input_pipeline")
def check_pipeline(case: Case) -> None:
    """Frames, margins and crops as in the training stream, with the recorded scale and place."""
    for number, item in enumerate(case.hyper("items")):
        image = np.ascontiguousarray(case.all_arrays[f"in/image_{number}"].transpose(1, 2, 0))
        height, width = image.shape[:2]
        label = np.full((height, width), IGNORE, np.uint8)
        if item["with_label"]:
            label = train_ids(case.all_arrays[f"in/label_{number}"], label_map("cityscapes", "cityscapes19"))
        margins = Margins(int(0.03 * height), int(0.25 * height), int(0.03 * width), int(0.03 * width))
        trusted = trusted_pixels(margins, (width, height), (width, height))
        framing = RescaledCrops(scales=(item["min_scale"], item["max_scale"]))
        drawn = Scripted(Decisions(case, number))
        size = framing.draw((width, height), (item["img_size"],) * 2, drawn)
        image, label, trusted = (
            framing.image(image, size),
            framing.label(label, size),
            framing.label(trusted, size),
        )
        place, box = (slice(None), slice(None)), (size[0], size[1])
        if item["do_cropping"]:
            box = (item["crop"], item["crop"])
            place = draw_labelled_crop(label, item["crop"], item["cat_max_ratio"], drawn)
        drawn.finish()
        shown = framing.padded(image[place], box)
        mask = crop_mask(trusted, place, False, (box[1], box[0]))
        case.compare(f"out/i{number}/image", shown.transpose(2, 0, 1))
        case.compare(f"out/i{number}/label", label_input([label[place]], box)[0, 0])
        case.compare(f"out/i{number}/ignore_mask", np.where(mask == 1, 0, IGNORE))


@handler("vfmuda_rare_class_sampler")
def check_sampler(case: Case) -> None:
    """Classes and files of rare class sampling, and crops by the training stream, with the recorded draws."""
    counts = case.all_arrays["in/pixel_count"]
    files = [{c: int(pixels) for c, pixels in enumerate(row) if pixels} for row in counts]
    classes, probabilities = class_probabilities(class_totals(files), case.hyper("temperature"))
    case.compare("out/class_order", classes)
    case.compare("out/class_probability", probabilities)
    settings = VFMUDASource.Settings(crop=case.hyper("crop"))
    for name in case.arrays("out/eligible_"):
        found = eligible_files(files, int(name), settings.rare_class_min_pixels)
        case.compare(f"out/eligible_{name}", found)
    ratio = settings.rare_class_min_crop_ratio * (settings.crop / VFMUDASource.Settings().crop) ** 2
    case.compare("out/minimum_pixels_in_crop", settings.rare_class_min_pixels * ratio)
    sampling = VFMUDASource.sampling(settings.model_copy(update={"rare_class_min_crop_ratio": ratio}))
    stream = TrainingStream(Domain(()), None, settings, 0, sampling)
    for number in range(case.hyper("draws")):
        decisions, prefix = Decisions(case, number), f"out/d{number}/"
        (drawn,), (file,) = decisions.at("rare_class"), decisions.at("rare_file")
        image, label, mask = (
            case.all_arrays[f"in/{part}"][file["value"]] for part in ("image", "label", "mask")
        )
        rng = Scripted(decisions)
        place = stream._placement(label, rng, drawn["value"]).crop
        rng.finish()
        box = (settings.crop, settings.crop)
        frame = RescaledCrops().padded(np.ascontiguousarray(image.transpose(1, 2, 0))[place], box)
        case.compare(f"{prefix}image_stride4", frame.transpose(2, 0, 1)[:, ::4, ::4])
        case.compare(f"{prefix}label", label_input([label[place]], box)[0, 0])
        case.compare(f"{prefix}mask", label_input([mask[place]], box)[0, 0])
