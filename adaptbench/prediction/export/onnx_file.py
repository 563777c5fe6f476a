"""Export as ONNX: the scored network as a graph, run by onnxruntime and compared with the network itself."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptbench.errors import UsageError, WeightsError
from adaptbench.storage.atomic import replacing

INPUT, OUTPUT = "image", "logits"
#: What logits may differ by: a share of the largest one, as float32 sums of another order do.
TOLERANCE = 1e-4

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_packages() -> None:
    """Raises UsageError unless the optional packages are installed; says how to install them."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--format onnx needs {', '.join(missing)}, which are not installed: pip install -e '.[export]' -c "
            "constraints.txt. --format safetensors needs nothing more."
        )


def write(network: nn.Module, example: Tensor, path: Path, description: Mapping[str, Any]) -> float:
    """Writes the network as a graph for inputs of the size of ``example``, and runs that.

    Args:
        network: in evaluation mode, on the CPU.
        example: an input. Shape: ``(1, 3, H, W)``.
        path: of the file.
        description: goes into the graph's metadata, as JSON under the key ``adaptbench``.

    Returns:
        The largest difference of its logits to those of the network.

    Raises:
        WeightsError: the network cannot be written as a graph, or the graph answers otherwise.
    """
    program = _program(network, example)
    program.model.metadata_props["adaptbench"] = json.dumps(dict(description), sort_keys=True)
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)
        with torch.no_grad():
            expected = network(example).numpy()
        return _require_equal(expected, run(temporary, example.numpy()), path)


def run(path: Path, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Logits of an exported graph. Shape: ``(1, 3, H, W)`` to ``(1, C, h, w)``."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits: npt.NDArray[np.float32] = session.run([OUTPUT], {INPUT: image})[0]
    return logits


def _program(network: nn.Module, example: Tensor) -> Any:
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's exporter, about its own parts
            program: Any = torch.onnx.export(
                network, (example,), dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
    except torch.onnx.OnnxExporterError as error:
        raise WeightsError(
            f"This network cannot be written as an ONNX graph: {_reason(error)}. Use --format safetensors."
        ) from error
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where it was traced: names of files on this machine, and much of the file
    return program


def _reason(error: BaseException) -> str:
    """What the exporter stumbled over: the error at the end of the chain, in one line without its full stop."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300].rstrip(".")


def _require_equal(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32], path: Path) -> float:
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not difference <= TOLERANCE * float(np.abs(expected).max()):
        raise WeightsError(
            f"{path} is not written: its logits differ from the network's by up to {difference:.2g}, more than "
            "rounding explains. Use --format safetensors, and report the versions that 'run_all.py doctor' prints."
        )
    return difference
