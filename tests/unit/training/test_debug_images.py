"""What becomes of the hook where it cannot write, and where a batch has no target."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from PIL import Image
from torch import nn

from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.normalisation import IMAGENET
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.drawing.panels import Painter
from adaptbench.draws import Draws
from adaptbench.errors import RunStateError
from adaptbench.networks.inference import Whole
from adaptbench.training.debug_images import DebugImages, columns, predictions, with_batch


def method(supervision: str = "source", network: nn.Module | None = None) -> Any:
    student = network or nn.Conv2d(3, 19, 1)
    return SimpleNamespace(
        supervision=supervision,
        scored_network=lambda: student,
        inference=Whole,
        task=SimpleNamespace(class_set=CITYSCAPES19),
    )


def batch(target: bool = True) -> Batch:
    image, label = torch.randn(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.int64)
    seen = Images(image, ("c", "d")) if target else None
    return Batch(0, Draws(0, 0), LabelledImages(image, ("a", "b"), label), seen)


def titles(shown: dict[str, dict[str, torch.Tensor]]) -> list[str]:
    painter = Painter(CITYSCAPES19, IMAGENET)
    return [column.title for column in columns(cast("Any", shown), {}, painter)]


def test_columns_follow_the_step() -> None:
    shown = {
        "source": {"compared_features": torch.ones(2, 1, 2, 2, dtype=torch.bool)},
        "pseudo": {"label": torch.zeros(2, 8, 8, dtype=torch.int64), "weight": torch.ones(2, 8, 8)},
    }
    assert titles(with_batch(method(), batch(), shown)) == [
        "source image",
        "source label",
        "source compared features",
        "target image",
        "target prediction",
        "pseudo label",
    ]
    assert titles(with_batch(method(), batch(target=False), {})) == [
        "source image",
        "source label",
        "source prediction",
    ]


def test_labels_of_the_target_are_called_so() -> None:
    assert titles(with_batch(method("target"), batch(target=False), {}))[:2] == [
        "target image",
        "target label",
    ]


def test_predicting_leaves_batch_norm_and_modes_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 19, 1), nn.BatchNorm2d(19), nn.Dropout(0.5))
    network[2].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = predictions(method(network=network), batch().source.image)
    assert found.shape == (2, 8, 8)
    assert [module.training for module in network] == [True, True, False]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_image_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "debug").write_text("in the way")
    hook = DebugImages(10, tmp_path / "debug", "DACS")
    runner = SimpleNamespace(
        iter=20, rank=0, max_iters=30, model=method(), stream=SimpleNamespace(normalisation=IMAGENET)
    )
    with pytest.raises(RunStateError, match=r"debug image stopped.*debug/000020\.png.*--debug-images"):
        hook.use(runner, batch(), {}, {})


def test_sizes_may_differ(tmp_path: Path) -> None:
    hook = DebugImages(10, tmp_path, "DACS")
    runner = SimpleNamespace(
        iter=20, rank=0, max_iters=30, model=method(), stream=SimpleNamespace(normalisation=IMAGENET)
    )
    hook.use(runner, batch(), {"loss": torch.ones(())}, {"mixed": {"attention": torch.rand(3, 1, 2, 4)}})
    with Image.open(tmp_path / "000020.png") as sheet:
        assert sheet.format == "PNG"
