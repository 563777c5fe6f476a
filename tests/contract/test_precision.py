"""A step of every training in mixed precision, beside the same step in float64."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from quick_depthwise import QuickDepthwise
from torch import Tensor

from adaptbench.adaptation.parts import parts
from adaptbench.contracts.method import Method, Stage
from adaptbench.data.batch import Batch
from adaptbench.training.precision import train_in

from .steps import batch_of, build, double


def test_a_step_in_bf16_is_close_to_one_in_float64(training: Stage) -> None:
    """What lies between the networks is in float32: losses, and with them labels, thresholds and prototypes."""
    exact, short = build(training).double(), build(training)
    train_in("bf16", short, torch.device("cpu"))
    with QuickDepthwise():
        expected, found = _step(exact, exact=True), _step(short)
    assert not {torch.bfloat16, torch.float16} & {value.dtype for value in found.values()}
    assert all(p.dtype == torch.float32 and bool(p.isfinite().all()) for p in short.parameters())
    losses = {
        key: float(value) for key, value in expected.items() if key.rpartition(".")[2].startswith("loss")
    }
    assert {key: float(found[key]) for key in losses} == pytest.approx(losses, rel=0.02, abs=1e-3)
    if any(True for _ in parts(short)):
        assert any(float(found[key]) != pytest.approx(value, rel=1e-6) for key, value in losses.items())


def _step(method: Method, *, exact: bool = False) -> dict[str, Tensor]:
    batch = batch_of(type(method))
    if exact:
        batch = double(batch)
    return _logged(method, batch)


def _logged(method: Method, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(batch.draws.seed("network"))
    log: dict[str, Tensor] = method.train().train_step(batch, method.optimizers())
    return log


@pytest.mark.parametrize(
    ("side", "options"), [(3, {"padding": 1}), (5, {"stride": 2, "padding": 6, "dilation": 3})]
)
def test_all_channels_at_once_are_the_channels_one_by_one(side: int, options: dict[str, int]) -> None:
    convolution = torch.nn.Conv2d(6, 6, side, groups=6, **options)
    image = torch.randn(2, 6, 17, 14)
    with torch.autocast("cpu", torch.bfloat16):
        expected = convolution(image)
        with QuickDepthwise():
            found = convolution(image)
    torch.testing.assert_close(found, expected)
    exact = convolution.double()
    results = []
    for block in (nullcontext(), QuickDepthwise()):
        given = image.double().requires_grad_()
        with block:
            result = exact(given)
        gradients = torch.autograd.grad(result.square().sum(), [given, *exact.parameters()])
        results.append([result, *gradients])
    torch.testing.assert_close(results[1], results[0])
