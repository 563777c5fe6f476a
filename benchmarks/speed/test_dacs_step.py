"""One training step of DACS in profile mini against the same step written as the reference code writes it.

Run with ``pytest benchmarks/speed/test_dacs_step.py --benchmark-only``. The restated step has the reference's loops:
moving average parameter by parameter, mixing sample by sample with multiplied masks, blur as a depthwise
convolution with a square kernel. Network, losses, optimiser and colour jitter are the same objects in both,
and one iteration ends with equal weights (`test_the_steps_are_equal`), so that the ratio is that of the loops.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from problem import new_batch, new_method
from restated import mix, move_average

from adaptbench.adaptation.ema import teacher_mode
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.contracts.profiles import profile
from adaptbench.data.batch import Batch

GROUP = pytest.mark.benchmark(group="one DACS step, mini: batch 2, crop 128, jitter and blur on")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads as a training in profile mini has."""
    before = torch.get_num_threads()
    torch.set_num_threads(profile("mini").threads)
    yield
    torch.set_num_threads(before)


def restated_step(method: Any, batch: Batch, optimizers: Any) -> None:
    """The published training step, loop by loop."""
    assert batch.target is not None
    move_average(method, batch.iteration)
    optimizers.zero_grad()
    source, teacher, student = batch.source, method.teacher.network, method.student
    optimizers.backward(method.segmentation_loss(student(source.image), source.label)["loss_seg"])

    teacher_mode(teacher)
    with torch.no_grad():
        size = (source.image.shape[-2], source.image.shape[-1])
        probability = torch.softmax(resize_logits(teacher(batch.target.image), size), dim=1)
        confidence, pseudo = torch.max(probability, dim=1)
        confident = confidence.ge(method.settings.pseudo_threshold).long() == 1
        share = confident.sum().item() / confident.numel()
        weight = share * torch.ones(confidence.shape)

    image, label, weight = mix(method, batch, pseudo, weight)
    optimizers.backward(method.segmentation_loss(student(image), label, weight)["loss_seg"])
    optimizers.step()


def test_the_steps_are_equal() -> None:
    """Otherwise their times could not be compared."""
    ours = new_method("dacs")
    theirs, batch = copy.deepcopy(ours), new_batch(ours)
    for method, step in ((ours, type(ours).train_step), (theirs, restated_step)):
        with torch.no_grad():
            for parameter in method.student.parameters():
                parameter.add_(0.01)  # so that the moving average has something to move to
        step(method, batch, method.optimizers())
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, atol=2e-4, rtol=2e-3, msg=name)


@GROUP
def test_ours(benchmark: Any) -> None:
    method = new_method("dacs")
    benchmark(method.train_step, new_batch(method), method.optimizers())


@GROUP
def test_restated(benchmark: Any) -> None:
    method = new_method("dacs")
    benchmark(restated_step, method, new_batch(method), method.optimizers())


EMA_GROUP = pytest.mark.benchmark(group="moving average of the mini network")


@EMA_GROUP
def test_ours_moving_average(benchmark: Any) -> None:
    method = new_method("dacs")
    benchmark(method.teacher.update, method.student, 500)


@EMA_GROUP
def test_restated_moving_average(benchmark: Any) -> None:
    benchmark(move_average, new_method("dacs"), 500)
