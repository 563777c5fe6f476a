"""Export as safetensors: the tensors of the scored network, with the description in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench.errors import WeightsError
from adaptbench.training import checkpoint


def write(
    network: nn.Module, fresh: nn.Module, example: Tensor, path: Path, description: Mapping[str, Any]
) -> float:
    """Writes the tensors and reads them back into a second network.

    Args:
        network: with its weights, in evaluation mode.
        fresh: built alike; its weights are taken away.
        example: an input. Shape: ``(1, 3, H, W)``.
        path: of the file.
        description: goes into the header, as JSON under the key ``adaptbench``.

    Returns:
        The largest difference of the outputs of both networks, which is 0.

    Raises:
        WeightsError: the second network answers otherwise.
    """
    checkpoint.save(path, network.state_dict(), description)
    tensors, _ = checkpoint.load(path)
    for tensor in fresh.state_dict().values():
        tensor.zero_()
    fresh.load_state_dict(tensors, strict=True)
    with torch.no_grad():
        difference = float((fresh.eval()(example) - network(example)).abs().max())
    if difference != 0:
        path.unlink()
        raise WeightsError(
            f"{path} is not kept: the network that was read back differs from the one written, by up to "
            f"{difference:.2g}. It has state that is no tensor of it; export the checkpoint as onnx."
        )
    return difference
