"""One training step of DACS in profile mini against the same step written as the reference code writes it.

Run with ``pytest benchmarks/speed/test_dacs_step.py --benchmark-only``. The restated step has the reference's loops:
moving average parameter by parameter, mixing sample by sample with multiplied masks, blur as a depthwise
convolution with a square kernel. Network, losses, optimiser and colour jitter are the same objects in both,
and one iteration ends with equal weights (`test_the_steps_are_equal`), so that the ratio is that of the loops.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adaptbench import networks, plugins
from adaptbench.adaptation.color_jitter import color_jitter
from adaptbench.adaptation.ema import ema_alpha, teacher_mode
from adaptbench.adaptation.gaussian_blur import kernel_side
from adaptbench.adaptation.seg_loss import resize_logits
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.data.transforms import MEAN, STD
from adaptbench.draws import Draws
from adaptbench.method import Task
from adaptbench.profiles import profile
from adaptbench.settings import resolve

GROUP = pytest.mark.benchmark(group="one DACS step, mini: batch 2, crop 128, jitter and blur on")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads as a training in profile mini has."""
    before = torch.get_num_threads()
    torch.set_num_threads(profile("mini").threads)
    yield
    torch.set_num_threads(before)


def new_method() -> Any:
    mini = profile("mini")
    dacs = plugins.load(plugins.discover().find("method", "dacs"))
    recipe = networks.spec("deeplabv2-mini").recipe
    settings = resolve(dacs.Settings, mini, None, recipe, "deeplabv2-mini", {}).settings
    torch.manual_seed(0)
    return dacs(Task("gta5_to_cityscapes", "uda", CITYSCAPES19, mini), settings).train()


def new_batch(method: Any) -> Batch:
    """Random pictures and labels in patches, at the first iteration whose draws ask for jitter and blur."""
    side, random = method.settings.crop, torch.Generator().manual_seed(0)
    images = torch.randn(2, 2, 3, side, side, generator=random)
    patches = torch.randint(19, (2, 1, 8, 8), generator=random)
    label = patches.repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)
    source, target = LabelledImages(images[0], ("a", "b"), label), Images(images[1], ("c", "d"))
    for iteration in itertools.count(500):
        batch = Batch(iteration, Draws(0, iteration), source, target)
        (first, _) = method.draw_mix(batch).augmentations
        if first.jitter is not None and first.sigma is not None:
            return batch
    raise AssertionError


def restated_step(method: Any, batch: Batch, optimizers: Any) -> None:
    """The published training step, loop by loop."""
    assert batch.target is not None
    teacher, student = method.teacher.network, method.student
    alpha = ema_alpha(batch.iteration, method.settings.ema_alpha)
    for average, value in zip(teacher.parameters(), student.parameters(), strict=True):
        average.data[:] = alpha * average.data[:] + (1 - alpha) * value.data[:]

    optimizers.zero_grad()
    source = batch.source
    optimizers.backward(method.segmentation_loss(student(source.image), source.label)["loss_seg"])

    teacher_mode(teacher)
    with torch.no_grad():
        size = (source.image.shape[-2], source.image.shape[-1])
        probability = torch.softmax(resize_logits(teacher(batch.target.image), size), dim=1)
        confidence, pseudo = torch.max(probability, dim=1)
        confident = confidence.ge(method.settings.pseudo_threshold).long() == 1
        share = confident.sum().item() / confident.numel()
        weight = share * torch.ones(confidence.shape)

    draws = method.draw_mix(batch)
    images, labels, weights = [], [], []
    for i, (classes, augmentation) in enumerate(zip(draws.classes, draws.augmentations, strict=True)):
        mask = sum((source.label[i] == int(c)).float() for c in classes)
        assert isinstance(mask, Tensor)
        image = mask * source.image[i] + (1 - mask) * batch.target.image[i]
        image = color_jitter(image[None], augmentation.jitter, MEAN, STD)
        images.append(square_blur(image, augmentation.sigma))
        labels.append((mask * source.label[i] + (1 - mask) * pseudo[i][None]).long())
        weights.append(mask[0] * torch.ones(size) + (1 - mask[0]) * weight[i])
    loss = method.segmentation_loss(student(torch.cat(images)), torch.stack(labels), torch.stack(weights))
    optimizers.backward(loss["loss_seg"])
    optimizers.step()


def square_blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with the whole square kernel, one group per channel."""
    side = kernel_side(image.shape[-1])
    taps = torch.tensor([math.exp(-0.5 * ((t - side // 2) / sigma) ** 2) for t in range(side)])
    taps = taps / taps.sum()
    kernel = torch.outer(taps, taps).expand(3, 1, side, side)
    return functional.conv2d(functional.pad(image, [side // 2] * 4, mode="reflect"), kernel, groups=3)


def test_the_steps_are_equal() -> None:
    """Otherwise their times could not be compared."""
    ours = new_method()
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
    method = new_method()
    benchmark(method.train_step, new_batch(method), method.optimizers())


@GROUP
def test_restated(benchmark: Any) -> None:
    method = new_method()
    benchmark(restated_step, method, new_batch(method), method.optimizers())


EMA_GROUP = pytest.mark.benchmark(group="moving average of the mini network")


@EMA_GROUP
def test_ours_moving_average(benchmark: Any) -> None:
    method = new_method()
    benchmark(method.teacher.update, method.student, 500)


@EMA_GROUP
def test_restated_moving_average(benchmark: Any) -> None:
    method = new_method()

    def update() -> None:
        for average, value in zip(
            method.teacher.network.parameters(), method.student.parameters(), strict=True
        ):
            average.data[:] = 0.99 * average.data[:] + (1 - 0.99) * value.data[:]

    benchmark(update)
