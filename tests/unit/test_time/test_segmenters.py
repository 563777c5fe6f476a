"""Streams of methods, and what they ask of networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptbench.contracts.stream_method import StreamMethod
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Direct, Whole, segment
from adaptbench.test_time.segmenters import Stream
from methods.cotta import CoTTA
from methods.cotta_crops import CoTTACrops
from methods.norm_adapt import NormAdapt
from methods.tent import Tent
from methods.tent_hard import TentHard

IMAGE = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
SMALL = {"crop_height": 6, "crop_width": 8, "learning_rate": 0.1}
#: Of which no view has a side below 4.
CROPS = {**SMALL, "crop_height": 8, "scales": (1.0, 2.0)}


class Network(nn.Module):
    """A network with a batch norm that adds a style in training mode, and takes no side below 4."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
        self.style_hallucination: nn.Module | None = nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        if self.training and self.style_hallucination is not None:
            raise AssertionError("a style was added")
        logits: Tensor = self.layers(image)
        return logits

    def taken_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return max(size[0], 4), max(size[1], 4)


def stream(method: type[StreamMethod], network: nn.Module, **values: Any) -> Stream:
    return Stream(method.start(network, method.Adaptation(**values), Whole()))


@pytest.mark.parametrize(
    ("method", "values"), [(Tent, SMALL), (NormAdapt, {}), (CoTTA, {}), (CoTTACrops, CROPS)]
)
def test_a_stream_gives_train_ids_and_is_repeatable(
    method: type[StreamMethod], values: dict[str, Any]
) -> None:
    found = []
    for _ in range(2):
        made = stream(method, Network().eval(), **values)
        found.append([made.segment(image, (5, 7)) for image in (IMAGE, IMAGE.flip(3))])
    assert found[0][0].train_ids.shape == (5, 7)
    assert found[0][0].train_ids.dtype == torch.uint8
    assert all(torch.equal(one.train_ids, other.train_ids) for one, other in zip(*found, strict=True))
    assert (found[0][0].loss is None) is (method is NormAdapt)


def test_an_average_of_which_nothing_trains_learns_all_the_same() -> None:
    network = Network().eval().requires_grad_(False)
    before = [value.clone() for value in network.parameters()]
    stream(CoTTA, network, learning_rate=0.1).segment(IMAGE, (8, 12))
    assert not all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_what_is_too_small_to_train_on_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"on 2x8 pixels .* takes 4x8 or more"):
        stream(Tent, Network(), **{**SMALL, "crop_height": 2})
    with pytest.raises(
        UsageError, match=r"on 3x4 pixels .* takes 4x4 or more\. Choose larger crops or scales"
    ):
        stream(CoTTACrops, Network(), **{**CROPS, "crop_height": 6})
    with pytest.raises(UsageError, match="takes 4x12 or more"):
        stream(CoTTA, Network()).segment(IMAGE[:, :, :3], (8, 12))


def test_what_does_not_go_together_is_found_before_anything_is_trained() -> None:
    crops = Tent.Adaptation(**SMALL)
    Tent.require_fitting(Network(), crops, (6, 8))
    with pytest.raises(UsageError, match=r"crops of 6x8 .* images of 6x7. Set a smaller adapt_crop_height"):
        Tent.require_fitting(Network(), crops, (6, 7))
    with pytest.raises(UsageError, match=r"cotta_crops: crops of 8x8 .* images of 7x12"):
        CoTTACrops.require_fitting(Network(), CoTTACrops.Adaptation(**CROPS), (7, 12))
    with pytest.raises(UsageError, match="norm"):
        TentHard.require_fitting(Network(), TentHard.Adaptation(), (8, 12))  # its norm is called 1
    with pytest.raises(UsageError, match="takes 4x12 or more"):
        CoTTA.require_fitting(Network(), CoTTA.Adaptation(), (3, 12))
    for method, values in ((Tent, crops), (NormAdapt, NormAdapt.Adaptation())):
        with pytest.raises(UsageError, match="no BatchNorm2d"):
            method.require_fitting(nn.Sequential(nn.Conv2d(3, 4, 1)), values, (8, 12))


def test_the_network_after_a_stream_normalises_by_the_image_as_the_teacher_does() -> None:
    made = stream(CoTTACrops, Network().eval(), **CROPS)
    made.segment(IMAGE, (8, 12))
    teacher = made.segmenter.parts()["teacher"]
    assert isinstance(teacher, nn.Module)
    assert torch.allclose(made.segmenter.network().eval()(IMAGE), teacher(IMAGE))
    assert "layers.1.running_mean" in teacher.state_dict(), "statistics of the teacher itself stay"


def test_outputs_may_count_as_other_classes() -> None:
    usual = stream(NormAdapt, Network().eval()).segment(IMAGE, (8, 12)).train_ids
    started = NormAdapt.start(Network().eval(), NormAdapt.Adaptation(), Whole())
    counted = Stream(started, counted=lambda ids: ids + 100).segment(IMAGE, (8, 12)).train_ids
    assert torch.equal(counted, usual + 100)


def test_logits_are_resized_directly_for_network_files() -> None:
    logits = torch.rand(1, 3, 2, 3)
    network = nn.Identity()
    network.forward = lambda image: logits  # type: ignore[method-assign]
    expected = nn.functional.interpolate(logits, (40, 50), mode="bilinear").argmax(1)[0]
    assert torch.equal(segment(network, IMAGE, Direct(), (40, 50)).long(), expected)
    assert not torch.equal(segment(network, IMAGE, Whole(), (40, 50)).long(), expected)
