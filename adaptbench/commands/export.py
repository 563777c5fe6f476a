"""``export``: a network for other programs, checked against the network itself."""

from __future__ import annotations

import json

import torch
from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.commands.predict import like_dataset
from adaptbench.errors import UsageError, WeightsError
from adaptbench.evaluation.sizes import input_size
from adaptbench.execution.checkpoints.scored import open_checkpoint
from adaptbench.execution.checkpoints.scoring import scorer_of
from adaptbench.flags import Export
from adaptbench.prediction.export import onnx_file, tensors
from adaptbench.prediction.export.description import describe, network_size
from adaptbench.storage.atomic import write_text


def execute(command: Export) -> int:
    """Writes the files, each with the description in it, and the description beside them."""
    console, out = Console(), command.out.resolve()
    if not command.format:
        raise UsageError("--format: name safetensors, onnx or both.")
    if "onnx" in command.format:
        onnx_file.require_packages()
    checkpoint = open_checkpoint(command.checkpoint, out, command.profile, command.plugins)
    dataset = like_dataset(checkpoint, command.like, command.plugins)
    box = input_size(dataset, checkpoint.settings.resolution, checkpoint.profile)
    scorer = scorer_of(checkpoint, "cpu", ())
    folder = out / "exports" / checkpoint.name
    description = describe(checkpoint, scorer, box, dataset.image_size)
    width, height = network_size(scorer, box, dataset.image_size)
    example = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))  # to compare on
    _require_taken(scorer.network, example)
    for name in dict.fromkeys(command.format):
        path = folder / f"model.{name}"
        if name == "onnx":
            difference = onnx_file.write(scorer.network, example, path, description)
        else:
            fresh = checkpoint.fill().scored_network()
            difference = tensors.write(scorer.network, fresh, example, path, description)
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        say(console, f"{path}: {size}, logits differ from the network's by at most {difference:.2g}")
    write_text(folder / "model.json", json.dumps(description, indent=1) + "\n")
    say(console, f"How to use them: {folder / 'model.json'}")
    return 0


def _require_taken(network: torch.nn.Module, example: torch.Tensor) -> None:
    """Raises WeightsError if the network cannot see an input of this size."""
    height, width = example.shape[-2:]
    try:
        with torch.no_grad():
            network(example)
    except (ValueError, RuntimeError) as error:
        raise WeightsError(
            f"The network takes no input of {width}x{height} pixels, which is what it is shown of an image: {error}. "
            "Name a dataset with images of another size with --like."
        ) from error
