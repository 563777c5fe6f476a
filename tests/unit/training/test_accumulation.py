"""Networks that compute a batch in parts: outputs, gradients and draws are those of one large step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from forks import in_fork
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from adaptbench.adaptation.style import StyleHallucination
from adaptbench.errors import UsageError
from adaptbench.networks.mit import DropPath, MiT
from adaptbench.training.accumulation import Accumulation


class Encoder(nn.Module):
    """Convolution, a batch norm that keeps its statistics, styled copies, and all that is dropped by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval()
        self.style = StyleHallucination(4)
        self.drop, self.path = nn.Dropout(0.4), DropPath(0.5)

    def forward(self, image: Tensor, scale: float) -> list[Tensor]:
        features = self.norm(self.conv(image)) * scale
        return [self.path(self.drop(features)), self.style(features)]


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop = nn.Conv2d(4, 2, 1), nn.Dropout2d(0.3, inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.conv(self.drop(features * 1))
        return logits


class Head(nn.Module):
    """A decoder with statistics of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(2, momentum=0.3), nn.Conv2d(2, 3, 1)

    def forward(self, logits: Tensor) -> Tensor:
        found: Tensor = self.conv(self.norm(logits))
        return found


def stepped(count: int, images: int, dtype: torch.dtype) -> tuple[dict[str, Tensor], list[str]]:
    """Loss, gradient of the image, state after a step and of torch's generator; and what was said."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": Encoder(), "decoder": Decoder(), "head": Head()}).to(dtype)
    style, generator = model["encoder"].style, np.random.default_rng(3)
    style.set_base(type(style.base)(torch.randn(4, 4), torch.rand(4, 4)))
    wrapper, said = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5)), list[str]()
    accumulation = Accumulation(model, count, said.append)
    image = torch.randn(images, 3, 6, 7).to(dtype).requires_grad_()
    with style.drawing(lambda rows: torch.from_numpy(generator.dirichlet(np.ones(4), rows)).to(dtype)):
        fine, styled = model["encoder"](image, scale=2.0)
    mixed = fine + fine.roll(1, 0) * fine.mean()  # of several images, hence of several parts
    logits = model["head"](model["decoder"](torch.cat([mixed, styled])))
    loss = functional.cross_entropy(logits, logits.detach().flip(0).argmax(1))
    wrapper.update_params(loss)
    accumulation.require_turns()
    assert image.grad is not None
    drawn = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(generator.random(3))}
    return {"loss": loss.detach(), "image": image.grad, **model.state_dict(), **drawn}, said


@pytest.mark.parametrize(
    ("images", "count", "dtype", "rounding"),
    [
        (4, 2, torch.float64, 1e-12),
        (5, 3, torch.float64, 1e-12),
        (2, 4, torch.float64, 1e-12),
        (8, 4, torch.float32, 1e-6),
    ],
    ids=["evenly", "unevenly", "fewer images than parts", "float32"],
)
def test_parts_compute_what_one_large_step_computes(
    images: int, count: int, dtype: torch.dtype, rounding: float
) -> None:
    """Also where one of the networks takes statistics of the batch: it is computed whole."""
    expected, nothing = stepped(1, images, dtype)
    found, said = stepped(count, images, dtype)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        size = float(tensor.double().abs().max())
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=rounding * max(size, 1e-3), msg=name)
    assert nothing == [] and len(said) == 1 and "head is computed whole" in said[0]


def test_encoders_that_drop_paths_may_also_compute_activations_again() -> None:
    def encoded(count: int) -> dict[str, Tensor]:
        torch.manual_seed(1)
        model = nn.ModuleList([MiT(channels=(8, 8, 10, 8), depths=(1, 2, 1, 1), drop_path=0.6)]).double()
        Accumulation(model, count, print)
        model[0].checkpointing = count > 1
        maps = model[0](torch.randn(4, 3, 32, 32, dtype=torch.float64))
        torch.stack([one.square().mean() for one in maps]).sum().backward()
        return {name: weight.grad for name, weight in model.named_parameters()}

    expected, found = encoded(1), encoded(2)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12, msg=name)


class Seen(nn.Module):
    """Notes which images it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 1)
        self.calls: list[list[int]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.calls.append(image[:, 0, 0, 0].int().tolist())
        return self.conv(image).sigmoid().square().mean((1, 2, 3), keepdim=True)


def test_one_part_is_kept_at_a_time() -> None:
    """Nothing is kept between both passes but inputs; the last part is computed again first.

    The first time all of it is computed at once, to compare.
    """

    def kept(count: int) -> tuple[int, list[list[int]]]:
        model, held = nn.ModuleList([Seen()]), list[int]()
        Accumulation(model, count, print)
        image = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 3, 3)
        with saved_tensors_hooks(lambda tensor: (held.append(tensor.numel()), tensor)[1], lambda one: one):
            loss = model[0](image).sum()
        loss.backward()
        with torch.no_grad():
            model[0](image)
        return sum(held), model[0].calls

    whole, once = kept(1)
    parts, calls = kept(2)
    assert once == [[0, 1, 2, 3]] * 2
    assert calls == [[0, 1, 2, 3], [0, 1], [2, 3], [2, 3], [0, 1], [0, 1], [2, 3]]
    assert whole > 8 * 4 * 9 and parts == 4 * 9


class Odd(nn.Module):
    """Does to its features what it is told."""

    def __init__(self, act: Callable[[Odd, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.act = act
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(3))
        self.generator, self.numpy = torch.Generator(), np.random.default_rng(0)

    def forward(self, image: Tensor) -> Tensor:
        return self.act(self, image * self.weight)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda net, x: functional.batch_norm(x, None, None, training=True), "takes statistics of the batch"),
        (lambda net, x: x * torch.rand(x.shape), "rand draws for a share of a batch"),
        (lambda net, x: x * torch.rand(x.shape, generator=net.generator), "rand draws for a share"),
        (lambda net, x: functional.alpha_dropout(x, 0.5, True), "cannot be drawn for whole batches"),
        (lambda net, x: x.mean(), "do not have a row for every image"),
        (lambda net, x: x + net.count.add_(1), "are changed when it computes"),
        (lambda net, x: x * net.numpy.random(), "gives other values for parts of a batch"),
        (lambda net, x: x - 0.1 * x.mean(0), "gives other values for parts of a batch"),
    ],
)
def test_what_parts_would_compute_otherwise_is_refused(
    act: Callable[[Odd, Tensor], Tensor], reason: str
) -> None:
    model = nn.ModuleList([Odd(act)])
    Accumulation(model, 2, print)
    with pytest.raises(UsageError, match=reason):
        model[0](torch.rand(4, 3, 2))


def to_eval(model: nn.ModuleList) -> None:
    model.eval()


@torch.no_grad()
def to_others(model: nn.ModuleList) -> None:
    model[0].weight.add_(1e-9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(to_eval, "does not come to the same"), (to_others, "were changed after it had computed")],
)
def test_what_changes_before_its_gradients_are_due_is_refused(
    change: Callable[[nn.ModuleList], None], reason: str
) -> None:
    """In a fork: torch crashes at the end of a process in whose backward pass something was raised."""

    def refused() -> None:
        model = nn.ModuleList([Odd(lambda net, x: x * (3.0 if net.training else 2.0))])
        Accumulation(model, 2, print)
        loss = model[0](torch.rand(4, 3)).sin().sum()
        change(model)
        with pytest.raises(UsageError, match=reason):
            loss.backward()

    in_fork(refused)


@pytest.mark.parametrize(
    ("network", "images"), [(Head(), 4), (Decoder(), 1)], ids=["statistics", "one image"]
)
def test_a_step_of_which_nothing_is_computed_in_parts_is_refused(network: nn.Module, images: int) -> None:
    model = nn.ModuleList([network])
    accumulation = Accumulation(model, 2, print)
    with torch.no_grad():
        model[0](torch.rand(images, 2 if images > 1 else 4, 3, 3))
    accumulation.require_turns()  # nothing was trained yet
    model[0](torch.rand(images, 2 if images > 1 else 4, 3, 3))
    with pytest.raises(UsageError, match="nothing of a step of ModuleList can be computed in parts"):
        accumulation.require_turns()
