"""Parts of networks on several ranks: outputs, gradients and statistics are those of one process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from ranks import on_ranks
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.adaptation.style import StyleHallucination
from adaptbench.errors import UsageError
from adaptbench.networks.mit import DropPath, MiT
from adaptbench.ranks.group import ALONE, Ranks
from adaptbench.ranks.share import Share
from adaptbench.training.sharing import share_work


class Encoder(nn.Module):
    """Convolution, batch norm, styled copies, and all that is dropped by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, momentum=0.3)
        self.style = StyleHallucination(4)
        self.drop, self.path = nn.Dropout(0.4), DropPath(0.5)

    def forward(self, image: Tensor, scale: float) -> list[Tensor]:
        features = self.norm(self.conv(image)) * scale
        return [self.path(self.drop(features)), self.style(features)]


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, affine=False, track_running_stats=False)
        self.conv = nn.Conv2d(4, 2, 1)
        self.drop = nn.Dropout2d(0.3, inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.conv(self.drop(self.norm(features)))
        return logits


class Both(nn.Module):
    """Two parts, the second of which sees a mix of images."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()


def stepped(ranks: Ranks, images: int) -> dict[str, Tensor]:
    """Loss, gradient of the image and state after a step with ``images`` images."""
    torch.manual_seed(0)
    model = Both().double().train()
    model.encoder.style.set_base(type(model.encoder.style.base)(torch.randn(4, 4), torch.rand(4, 4)))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    share_work(model, wrapper, ranks)
    image = torch.randn(images, 3, 6, 7, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(images, 4).softmax(1)
    with model.encoder.style.drawing(lambda batch: weights[:batch]):
        fine, styled = model.encoder(image, scale=2.0)
    mixed = fine + fine.roll(1, 0) * fine.mean()  # of several images, hence of several ranks
    logits = model.decoder(torch.cat([mixed, styled]))
    loss = functional.cross_entropy(logits, logits.detach().flip(0).argmax(1))
    wrapper.update_params(loss)
    assert image.grad is not None
    return {"loss": loss.detach(), "image": image.grad, **model.state_dict()}


@pytest.mark.parametrize(
    ("images", "ranks"), [(4, 2), (3, 2), (1, 2)], ids=["evenly", "unevenly", "fewer images than ranks"]
)
def test_ranks_compute_what_one_process_computes(images: int, ranks: int, tmp_path: Path) -> None:
    expected = stepped(ALONE, images)
    for found in on_ranks(ranks, lambda rank: stepped(rank, images), tmp_path):
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize(("images", "ranks"), [(8, 4), (5, 3), (2, 2), (7, 1), (1, 3)])
def test_shares_are_consecutive_and_of_equal_size_as_far_as_possible(images: int, ranks: int) -> None:
    shares = [Share(rank, ranks, images) for rank in range(ranks)]
    owned = [list(share.own()) for share in shares if share.counts]
    assert [image for own in owned for image in own] == list(range(images))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


def test_a_gradient_outside_of_the_parts_is_refused() -> None:
    model = Both()
    model.scale = nn.Parameter(torch.ones(()))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    share_work(model, wrapper, Ranks(0, 2))
    with pytest.raises(UsageError, match="in no module that is called with a batch"):
        wrapper.update_params(model.scale * 2)


class Drawing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return image * torch.rand(image.shape) * self.weight


def test_other_draws_within_a_network_are_refused() -> None:
    model = nn.ModuleList([Drawing()])
    share_work(model, OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5)), Ranks(0, 2))
    with pytest.raises(UsageError, match="rand draws for a share of a batch"):
        model[0](torch.zeros(2, 3))


class Averaging(Drawing):
    def forward(self, image: Tensor) -> Tensor:
        return (image * self.weight).mean()


def test_outputs_that_are_not_of_images_are_refused() -> None:
    model = nn.ModuleList([Averaging()])
    share_work(model, OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5)), Ranks(0, 2))
    with pytest.raises(UsageError, match="do not have a row for every image"):
        model[0](torch.zeros(2, 3))


class Encoding(nn.Module):
    """One part that drops paths by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MiT(channels=(8, 8, 10, 8), depths=(2, 2, 2, 2), drop_path=0.6)


def encoded(ranks: Ranks, *, checkpointing: bool) -> dict[str, Tensor]:
    """The state after a step, with or without computing activations again."""
    torch.manual_seed(1)
    model = Encoding().double().train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    share_work(model, wrapper, ranks)
    model.encoder.checkpointing = checkpointing
    maps = model.encoder(torch.randn(4, 3, 32, 32, dtype=torch.float64))
    wrapper.update_params(torch.stack([one.square().mean() for one in maps]).sum())
    return model.state_dict()


def test_what_is_computed_again_drops_what_was_dropped(tmp_path: Path) -> None:
    """The backward pass of --activation-checkpointing is in the same share of the batch as the forward pass."""
    expected = encoded(ALONE, checkpointing=False)
    for found in on_ranks(2, lambda rank: encoded(rank, checkpointing=True), tmp_path):
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12, msg=name)
