"""How to use an exported network: what its input must be, and what its output means."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from adaptbench.data.framing import RescaledCrops, WholeImages
from adaptbench.evaluation.scorer import Scorer
from adaptbench.execution.checkpoints.scored import Checkpoint
from adaptbench.networks.hrda import HRDASegmentor
from adaptbench.networks.inference import Mode, Sliding, Whole, taken_size
from adaptbench.prediction.folder import describe_classes

VERSION = 1
#: (width, height) in pixels.
Size = tuple[int, int]


def describe(checkpoint: Checkpoint, scorer: Scorer, box: Size, image: Size) -> dict[str, Any]:
    """Everything that a program needs to know to predict as AdaptBench does.

    Images are resized into ``box``; sizes are stated for an image file of the size ``image``.
    """
    values, mode = scorer.method.normalisation, scorer.method.inference()
    return {
        "adaptbench_export": VERSION,
        "checkpoint": checkpoint.name,
        "origin": checkpoint.origin.model_dump(mode="json", exclude_none=True),
        "method": checkpoint.method.title,
        "network": checkpoint.network,
        "weights_sha256": checkpoint.weights_sha256,
        "input": {
            "layout": "float32, 1 x 3 x height x width, values (pixel - mean) / std with pixels from 0 to 255",
            "channels": "BGR" if values.bgr else "RGB",
            "mean": list(values.mean),
            "std": list(values.std),
            "resize": _resize(scorer, box),
            "size": list(framed_size(scorer, box, image)),
            "network_size": list(network_size(scorer, box, image)),
            "padding": "what is smaller than network_size, an image or a window, is enlarged at the right and "
            "bottom by repeating its last column and row; its logits are resized to network_size, and those of "
            "the image are cut out at the left and top",
        },
        "inference": {"mode": type(mode).__name__.lower(), **asdict(mode), "in words": _words(mode)},
        **_scales(scorer, network_size(scorer, box, image)),
        "output": "logits, 1 x classes x rows x columns, to be resized bilinearly; the largest one is the class",
        "class_set": checkpoint.class_set,
        "classes": describe_classes(scorer.method.task.class_set),
    }


def framed_size(scorer: Scorer, box: Size, image: Size) -> Size:
    """Size that an image file of size ``image`` is resized to."""
    return scorer.method.sampling(scorer.settings).framing.size(image, box)


def network_size(scorer: Scorer, box: Size, image: Size) -> Size:
    """Size of what the network sees of it at once: the whole image, or a window, padded where it has to be."""
    mode, size = scorer.method.inference(), framed_size(scorer, box, image)
    if isinstance(mode, Sliding):
        width, height = min(size[0], mode.crop[1]), min(size[1], mode.crop[0])
    else:
        multiple = mode.multiple if isinstance(mode, Whole) else 1
        width, height = (side // multiple * multiple or side for side in size)
    taken = taken_size(scorer.network, (height, width))
    return taken[1], taken[0]


def _scales(scorer: Scorer, size: Size) -> dict[str, Any]:
    """What an HRDA network does with an input of a size; nothing is said of others."""
    network = scorer.network
    if not isinstance(network, HRDASegmentor):
        return {}
    options = network.options
    boxes = network.detail_boxes((int(size[1] * options.detail_scale), int(size[0] * options.detail_scale)))
    return {
        "scales": {
            "context": options.context_scale,
            "detail": options.detail_scale,
            "detail_crop": list(options.detail_crop),
            "detail_windows": max(1, len(boxes)),
            "in words": "context and detail of an input, the detail in windows whose logits are averaged, are both "
            "seen and fused by the network itself; model.onnx holds all of it, for inputs of network_size alone",
        }
    }


def _resize(scorer: Scorer, box: Size) -> dict[str, Any]:
    framing = scorer.method.sampling(scorer.settings).framing
    if isinstance(framing, WholeImages):
        size, resampling = list(framing.size(box, box)), f"Pillow {framing.interpolation}"
        return {"to": size, "ratio": "stretched", "filter": resampling}
    if isinstance(framing, RescaledCrops):
        return {"shorter side": min(box), "ratio": "kept", "filter": "Pillow bilinear"}
    return {"into": list(box), "ratio": "kept", "filter": "OpenCV INTER_LINEAR"}


def _words(mode: Mode) -> str:
    if isinstance(mode, Sliding):
        averaged = (
            ", and their probabilities (softmax) are averaged" if mode.probabilities else ", and averaged"
        )
        return f"overlapping windows; logits are resized to the window without aligned corners{averaged}"
    if isinstance(mode, Whole):
        size = "without aligned corners to the size of the input, and then to that of the file"
        if mode.aligned:
            size = "with aligned corners to the size of the file"
        windows = (
            f"; an image whose sides are no multiples of {mode.multiple} is seen in overlapping windows that are as "
            "little smaller as possible, and their logits are resized to the window and averaged"
        )
        return f"the whole image; logits are resized {size}{windows if mode.multiple > 1 else ''}"
    return (
        "the whole image at several scales; probabilities are averaged at the size of the file; model.onnx takes "
        "inputs of network_size alone, model.safetensors those of every scale"
    )
