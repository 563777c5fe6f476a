"""CoTTA: order of teacher and restore, when views are averaged, and what comes out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from adaptbench.draws import Draws
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Whole
from adaptbench.test_time.cotta import Cotta, CottaSettings, official_parameters
from adaptbench.test_time.crop_cotta import CropCotta, CropCottaSettings
from adaptbench.test_time.decisions import Drawn
from adaptbench.test_time.trio import Trio, soft_cross_entropy, symmetric_cross_entropy
from adaptbench.test_time.view_cotta import ViewCotta, ViewCottaSettings, plain_and_mirrored

IMAGE = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
DRAWN = Drawn(Draws(0, 0))


class Network(nn.Module):
    """An encoder, a scalar that is neither weight nor bias, and a decoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.decode_head = nn.Conv2d(4, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.decode_head(self.encoder(image) * self.scale)
        return logits


def test_the_teacher_follows_before_values_go_back_and_scalars_never_do() -> None:
    trio = Trio(Network())
    with torch.no_grad():
        for value in trio.student.parameters():
            value.add_(1)
    trio.finish(0, DRAWN, average=0.75, restore=1.0)
    for name, source in trio.source.named_parameters():
        expected = source + 1 if name == "scale" else source
        torch.testing.assert_close(trio.student.get_parameter(name), expected)
        torch.testing.assert_close(trio.teacher.get_parameter(name), source + 0.25)


def test_the_share_that_goes_back_is_drawn_anew_for_every_step() -> None:
    value = torch.zeros(100, 100)
    masks = [DRAWN.restored(step, "conv.weight", value, 0.1) for step in range(2)]
    assert all(0.08 < mask.float().mean() < 0.12 for mask in masks)
    assert not torch.equal(*masks)


def test_the_symmetric_loss_has_both_directions() -> None:
    one, other = torch.randn(2, 1, 3, 2, 2)
    both = (soft_cross_entropy(one, other) + soft_cross_entropy(other, one)) / 2
    torch.testing.assert_close(symmetric_cross_entropy(one, other), both)


@pytest.mark.parametrize(("threshold", "always", "views"), [(0.0, False, 0), (0.0, True, 4), (1.1, False, 4)])
def test_views_are_averaged_where_the_source_is_unsure(threshold: float, always: bool, views: int) -> None:
    network, seen = Network(), []
    optimizer = torch.optim.SGD(official_parameters(network), 0.1)
    settings = CottaSettings(threshold=threshold, always=always, augmentations=4)

    def augment(image: Tensor, number: int) -> Tensor:
        seen.append(number)
        return image + number

    with torch.no_grad():
        plain = Cotta(network, optimizer, settings, augment).trio.teacher(IMAGE)
    outcome = Cotta(network, optimizer, settings, augment)(IMAGE, DRAWN)
    assert len(seen) == views
    assert outcome.updates[0].averaged == (threshold > 1)
    assert torch.equal(outcome.prediction, plain) == (threshold == 0)


def test_the_form_for_segmentation_predicts_with_the_teacher_after_the_step() -> None:
    settings = CropCottaSettings(
        learning_rate=0.5, average=0.0, restore=0.0, threshold=1.1, crop_height=6, crop_width=8
    )
    cotta = CropCotta(Network(), settings)
    assert [group["lr"] for group in cotta.optimizer.param_groups] == [0.5, 5.0]
    assert cotta.optimizer.param_groups[1]["names"] == ["decode_head.weight", "decode_head.bias"]
    outcome = cotta(IMAGE, DRAWN)
    with torch.no_grad():
        found = nn.functional.interpolate(
            cotta.trio.student(IMAGE), (8, 12), mode="bilinear", align_corners=True
        )
    torch.testing.assert_close(outcome.prediction, found)  # the teacher was copied from the student


def test_every_image_starts_anew_if_asked() -> None:
    settings = CropCottaSettings(learning_rate=0.1, crop_height=6, crop_width=8, episodic=True)
    cotta = CropCotta(Network(), settings)
    first, again = (cotta(IMAGE, DRAWN).prediction for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("threshold", [-1.0, 2.0])
def test_labels_are_the_single_view_where_the_source_is_sure(threshold: float) -> None:
    network = Network().eval()
    with torch.no_grad():  # no class wins everywhere
        network.decode_head.bias.sub_(network(IMAGE).mean(dim=(0, 2, 3)))
    cotta = ViewCotta(network, ViewCottaSettings(threshold=threshold), Whole())
    images = [nn.functional.interpolate(IMAGE, scale_factor=ratio) for ratio in cotta.settings.ratios]
    views = plain_and_mirrored(images)
    single, averaged = cotta.single_label(views, (8, 12)), cotta.averaged_label(views, (8, 12))
    assert not torch.equal(single, averaged)
    found = cotta(views, (8, 12), DRAWN).prediction
    assert torch.equal(found, single if threshold < 0 else averaged)


def test_too_few_views_are_an_error() -> None:
    cotta = ViewCotta(Network(), ViewCottaSettings(), Whole())
    with pytest.raises(UsageError, match="needs 5 views"):
        cotta(plain_and_mirrored([IMAGE, IMAGE]), (8, 12), DRAWN)
