"""``export``: files that answer like the network, and say how to ask them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from adaptbench import networks
from adaptbench.errors import WeightsError
from adaptbench.evaluation.inference import resized_argmax
from adaptbench.export import onnx_file, tensors

Call = Callable[..., str]
MINI = ("--profile", "mini")


def test_safetensors_hold_the_scored_network(call: Call, mine: str, out: Path) -> None:
    said = call("export", mine, *MINI)
    path = out / "exports" / "mine" / "model.safetensors"
    assert f"{path}: " in said and "differ from the network's by at most 0" in said
    kept = load_file(out / "imported" / "mine" / "weights.safetensors")
    found = load_file(path)
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["adaptbench"])
    assert described == json.loads((path.parent / "model.json").read_text())
    assert described["input"]["mean"] == [123.675, 116.28, 103.53]
    assert described["input"]["size"] == [256, 128]
    assert described["classes"][0] == {"train_id": 0, "name": "road", "colour": [128, 64, 128], "label_id": 7}


def test_onnx_predicts_what_predict_predicts(call: Call, mine: str, out: Path, tmp_path: Path) -> None:
    """With nothing but the graph and its description, as another program would do it."""
    import onnx

    call("export", mine, "--format", "onnx", *MINI)
    path = out / "exports" / "mine" / "model.onnx"
    (stated,) = [p.value for p in onnx.load(path).metadata_props if p.key == "adaptbench"]
    described = json.loads(stated)
    width, height = described["input"]["network_size"]
    assert described["inference"]["mode"] == "whole"
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    call("predict", mine, "--images", tmp_path / "images", *MINI, "--device", "cpu")
    image = (pixels.astype(np.float32) - described["input"]["mean"]) / described["input"]["std"]
    logits = onnx_file.run(path, image.transpose(2, 0, 1)[None].astype(np.float32))
    ids = resized_argmax(torch.from_numpy(logits), (height, width))[0].numpy()
    predicted = np.array(Image.open(out / "predictions" / "mine" / "images" / "train_ids" / "a.png"))
    assert (ids == predicted).mean() > 0.999


def test_a_graph_that_answers_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = onnx_file.run
    monkeypatch.setattr(onnx_file, "run", lambda path, image: run(path, image) + np.float32(0.01))
    with pytest.raises(WeightsError, match="differ from the network's by up to 0"):
        onnx_file.write(nn.Conv2d(3, 2, 1).eval(), torch.randn(1, 3, 8, 8), tmp_path / "a.onnx", {})
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_no_graph(tmp_path: Path) -> None:
    class Undecided(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image if image.sum().item() > 0 else image[..., :1]

    with pytest.raises(WeightsError, match="cannot be written as an ONNX graph"):
        onnx_file.write(Undecided(), torch.randn(1, 3, 8, 8), tmp_path / "a.onnx", {})


def test_a_network_with_another_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = networks.build("deeplabv2-mini", 19).eval()
    path = tmp_path / "a.onnx"
    assert onnx_file.write(network, torch.randn(1, 3, 64, 96), path, {"a": 1}) < 1e-4


def test_state_that_is_no_tensor_is_noticed(tmp_path: Path) -> None:
    class Scaled(nn.Conv2d):
        factor = 1.0

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image) * self.factor

    network, fresh = Scaled(3, 2, 1), Scaled(3, 2, 1)
    network.factor = 2.0
    with pytest.raises(WeightsError, match="differs from the one written"):
        tensors.write(network, fresh, torch.randn(1, 3, 4, 4), tmp_path / "a.safetensors", {})
    assert not list(tmp_path.iterdir())


def test_without_the_optional_packages(
    call: Call, mine: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = call("export", mine, "--format", "onnx", *MINI, status=2)
    assert "needs onnx, onnxscript, onnxruntime, which are not installed: pip install -e '.[export]'" in said
    assert not (out / "exports").exists()
