"""``export``: files that answer like the network, and say how to ask them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mounts
import numpy as np
import numpy.typing as npt
import pytest
import torch
from forks import in_fork
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from small_checkpoint import published
from torch import nn
from torch.nn import functional

from adaptbench.commands import export
from adaptbench.errors import RunStateError, WeightsError
from adaptbench.networks.hrda import HRDAOptions, build_hrda
from adaptbench.networks.inference import resized_argmax
from adaptbench.networks.isa import InterlacedAttention
from adaptbench.prediction.export import onnx_file, tensors

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
    assert len(described.pop("digest")) == 64
    assert described == json.loads((path.parent / "model.json").read_text())
    assert described["input"]["mean"] == [123.675, 116.28, 103.53]
    assert described["input"]["size"] == [256, 128]
    assert described["classes"][0] == {"train_id": 0, "name": "road", "colour": [128, 64, 128], "label_id": 7}


def test_onnx_predicts_what_predict_predicts(
    call: Call, mine: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing but the graph and its description, as another program would do it."""
    import onnx

    # Without simplification, which takes a while and is tested with smaller networks below.
    monkeypatch.setattr(torch.onnx, "export", partial(torch.onnx.export, optimize=False))
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


@pytest.fixture
def hrda(call: Call, tmp_path: Path) -> str:
    """An imported checkpoint of HRDA around a small network, with four windows that overlap: quickly made graphs."""
    torch.manual_seed(0)
    network = build_hrda("deeplabv2-mini", 19, HRDAOptions())
    torch.save(published(network, network), tmp_path / "hrda.pth")
    words = ("--method", "hrda", "--network", "deeplabv2-mini", "--name", "hrda", "--set", "detail_crop=768")
    call("import", tmp_path / "hrda.pth", *words)
    return "hrda"


def test_a_graph_holds_both_scales_of_hrda(call: Call, hrda: str, out: Path, tmp_path: Path) -> None:
    """The graph and the windows of its description predict an image that is larger than a window."""
    said = call("export", hrda, "--format", "onnx", *MINI)
    assert float(said.split("by at most")[1].split()[0]) < 1e-4
    folder = out / "exports" / "hrda"
    described = json.loads((folder / "model.json").read_text())
    assert described["input"]["network_size"] == [256, 256]
    scales = {key: value for key, value in described["scales"].items() if key != "in words"}
    assert scales == {"context": 0.5, "detail": 1.0, "detail_crop": [192, 192], "detail_windows": 4}
    pixels = np.random.default_rng(0).integers(0, 256, (256, 384, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    call("predict", hrda, "--images", tmp_path / "images", *MINI, "--device", "cpu")
    image = (pixels.astype(np.float32) - described["input"]["mean"]) / described["input"]["std"]
    logits = slide(folder / "model.onnx", image.transpose(2, 0, 1)[None].astype(np.float32), described)
    predicted = np.array(Image.open(out / "predictions" / "hrda" / "images" / "train_ids" / "a.png"))
    assert (logits.argmax(axis=1)[0] == predicted).mean() > 0.999
    assert len(np.unique(predicted)) > 1


def slide(graph: Path, image: npt.NDArray[np.float32], described: dict[str, Any]) -> npt.NDArray[Any]:
    """Logits of an image, averaged over windows that overlap by half, none of them moved to fit."""
    (crop, width), (_, step) = described["inference"]["crop"], described["inference"]["stride"]
    assert image.shape[2] == crop and (image.shape[3] - width) % step == 0
    total, count = np.zeros((1, 19, *image.shape[2:]), np.float32), np.zeros(image.shape[2:], np.float32)
    for left in range(0, image.shape[3] - width + 1, step):
        columns = slice(left, left + width)
        window = torch.from_numpy(onnx_file.run(graph, image[..., columns]))
        total[..., columns] += functional.interpolate(window, (crop, width), mode="bilinear").numpy()
        count[:, columns] += 1
    return total / count


def test_a_size_that_the_network_does_not_take(
    call: Call, hrda: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "network_size", lambda *_: (256, 72))
    said = " ".join(call("export", hrda, *MINI, status=2).split())
    assert "takes no input of 256x72 pixels" in said
    assert "HRDA cannot fuse" in said and "--like" in said
    assert not (out / "exports").exists()


@pytest.fixture(scope="module")
def traced() -> tuple[nn.Module, torch.Tensor, Any]:
    """A layer, an input of it, and its graph, which takes a second to be made."""
    layer, example = nn.Conv2d(3, 2, 1).eval(), torch.randn(1, 3, 8, 8)
    return layer, example, onnx_file._program(layer, example)


@pytest.fixture
def layer(
    traced: tuple[nn.Module, torch.Tensor, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[nn.Module, torch.Tensor]:
    """A layer whose graph is there, and an input of it."""
    monkeypatch.setattr(onnx_file, "_program", lambda *_: traced[2])
    return traced[:2]


def test_a_graph_says_nothing_of_this_machine(layer: tuple[nn.Module, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    onnx_file.write(*layer, path, {})
    assert str(Path(__file__).parents[3]).encode() not in path.read_bytes()
    assert b"stack_trace" not in path.read_bytes()


def test_attention_with_one_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = InterlacedAttention(3, 8).eval()
    assert onnx_file.write(network, torch.randn(1, 3, 12, 16), tmp_path / "a.onnx", {}) < 1e-4


def test_a_graph_that_answers_otherwise_is_not_kept(
    layer: tuple[nn.Module, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = onnx_file.run
    monkeypatch.setattr(onnx_file, "run", lambda path, image: run(path, image) + np.float32(0.01))
    with pytest.raises(WeightsError, match="differ from the network's by up to 0"):
        onnx_file.write(*layer, tmp_path / "a.onnx", {})
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_no_graph(tmp_path: Path) -> None:
    class Undecided(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image if image.sum().item() > 0 else image[..., :1]

    with pytest.raises(WeightsError, match="cannot be written as an ONNX graph: Could not guard on"):
        onnx_file.write(Undecided(), torch.randn(1, 3, 8, 8), tmp_path / "a.onnx", {})


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


class _Program:
    """A graph that is large, and not made by torch, which takes seconds."""

    model = SimpleNamespace(metadata_props={})

    def save(self, path: Path, external_data: bool) -> None:
        path.write_bytes(bytes(200_000))


@pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_program", lambda *_: _Program())
    in_fork(_exported_to_a_full_disk, tmp_path)


def _exported_to_a_full_disk(disk: Path) -> None:
    """What was exported before stays, and nothing is half there."""
    mounts.own_mounts()
    mounts.small_disk(disk, "100k")
    network, fresh, example = nn.Conv2d(3, 2000, 3), nn.Conv2d(3, 2000, 3), torch.randn(1, 3, 4, 4)
    for name in ("model.safetensors", "model.onnx"):
        (disk / name).write_text("before")
    full = (
        r"No space left on device \(.* are free\)\. Free some space and run again, or choose another folder"
    )
    with pytest.raises(RunStateError, match=rf"Cannot write {disk}/model\.safetensors: {full}"):
        tensors.write(network, fresh, example, disk / "model.safetensors", {})
    with pytest.raises(RunStateError, match=rf"Cannot write {disk}/model\.onnx: {full}"):
        onnx_file.write(network.eval(), example, disk / "model.onnx", {})
    assert {path.read_text() for path in disk.iterdir()} == {"before"}
    assert len(list(disk.iterdir())) == 2


def test_without_the_optional_packages(
    call: Call, mine: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = call("export", mine, "--format", "onnx", *MINI, status=2)
    assert "needs onnx, onnxscript, onnxruntime, which are not installed: pip install -e '.[export]'" in said
    assert not (out / "exports").exists()
