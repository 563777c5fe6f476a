"""Parts of the published training steps, written as the reference code writes them: loop by loop, pass by pass.

The speed suites measure the methods against steps that are put together from these parts.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.adaptation.color_jitter import color_jitter
from adaptbench.adaptation.ema import ema_alpha
from adaptbench.adaptation.gaussian_blur import kernel_side
from adaptbench.adaptation.pseudo_label import PseudoLabel
from adaptbench.contracts.method import total_loss
from adaptbench.data.batch import Batch
from adaptbench.data.transforms import MEAN, STD
from adaptbench.networks.depthwise import QuickDepthwiseConv2d
from adaptbench.networks.mit import Attention, MapSize, _to_map, _to_tokens

Mixed = tuple[Tensor, Tensor, Tensor]


def move_average(method: Any, iteration: int) -> None:
    """The teacher's moving average, parameter by parameter."""
    alpha = ema_alpha(iteration, method.settings.ema_alpha)
    teacher, student = method.teacher.network, method.student
    for average, value in zip(teacher.parameters(), student.parameters(), strict=True):
        average.data[:] = alpha * average.data[:] + (1 - alpha) * value.data[:]


def mix(method: Any, batch: Batch, label: Tensor, weight: Tensor) -> Mixed:
    """Images, labels and weights from the pseudo-label and its weight, sample by sample with multiplied masks."""
    assert batch.target is not None
    source, draws = batch.source, method.draw_mix(batch)
    images, labels, weights = [], [], []
    for i, (classes, augmentation) in enumerate(zip(draws.classes, draws.augmentations, strict=True)):
        mask = sum((source.label[i] == int(c)).float() for c in classes)
        assert isinstance(mask, Tensor)
        image = mask * source.image[i] + (1 - mask) * batch.target.image[i]
        image = color_jitter(image[None], augmentation.jitter, MEAN, STD)
        images.append(square_blur(image, augmentation.sigma))
        labels.append((mask * source.label[i] + (1 - mask) * label[i][None]).long())
        weights.append(mask[0] * torch.ones_like(mask[0]) + (1 - mask[0]) * weight[i])
    return torch.cat(images), torch.stack(labels), torch.stack(weights)


def square_blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with the whole square kernel, one group per channel."""
    side = kernel_side(image.shape[-1])
    taps = torch.tensor([math.exp(-0.5 * ((t - side // 2) / sigma) ** 2) for t in range(side)])
    taps = (taps / taps.sum()).to(image)
    kernel = torch.outer(taps, taps).expand(3, 1, side, side)
    return functional.conv2d(functional.pad(image, [side // 2] * 4, mode="reflect"), kernel, groups=3)


def restate_networks(method: nn.Module) -> None:
    """All attention with its weights as a tensor of their own, and depthwise convolutions as they come."""
    for module in method.modules():
        if isinstance(module, Attention):
            module.forward = partial(_attention_with_weights, module)  # type: ignore[method-assign]
        if isinstance(module, QuickDepthwiseConv2d):
            module.forward = partial(nn.Conv2d.forward, module)  # type: ignore[method-assign]


def _attention_with_weights(attention: Attention, tokens: Tensor, size: MapSize) -> Tensor:
    reduced = tokens
    if attention.sr is not None:
        reduced = attention.norm(_to_tokens(attention.sr(_to_map(tokens, size))))
    query = attention._split(attention.q(tokens))
    key, value = (attention._split(part) for part in attention.kv(reduced).chunk(2, dim=-1))
    weights = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(dim=-1)
    out: Tensor = attention.proj((weights @ value).transpose(1, 2).flatten(2))
    return out


def pass_by_pass(method: Any, batch: Batch, optimizers: Any) -> dict[str, Tensor]:
    """Our step, but the source's graph is kept after its backward pass and walked again by the feature distance."""
    return _step(method, batch, optimizers, method.teacher.update, _mixed)


def as_published(method: Any, batch: Batch, optimizers: Any) -> dict[str, Tensor]:
    """The same with the loops of the reference; its networks want `restate_networks` beforehand."""
    return _step(
        method, batch, optimizers, lambda _, iteration: move_average(method, iteration), _mixed_by_loops
    )


def _mixed(method: Any, batch: Batch, pseudo: PseudoLabel) -> Mixed:
    mixed = method.mix(batch, batch.target, pseudo, method.draw_mix(batch))
    return mixed.image, mixed.label, mixed.weight


def _mixed_by_loops(method: Any, batch: Batch, pseudo: PseudoLabel) -> Mixed:
    return mix(method, batch, pseudo.label, pseudo.weight)


def _step(method: Any, batch: Batch, optimizers: Any, follow: Any, mixing: Any) -> dict[str, Tensor]:
    """One step of DAFormer or HRDA in the order of the reference, with one backward pass per loss."""
    follow(method.student, batch.iteration)
    optimizers.zero_grad()
    source = batch.source
    learned = method.learn(source.image, source.label, None, "source", batch.draws)
    optimizers.backward(total_loss(learned.losses), retain_graph=True)
    distance = method.distance_loss(source.label, learned.views)
    optimizers.backward(total_loss(distance))
    log = {**learned.losses, **distance}
    del learned
    image, label, weight = mixing(method, batch, method.label_target(batch.target))
    mixed = method.learn(image, label, weight, "mixed", batch.draws).losses
    optimizers.backward(total_loss(mixed))
    optimizers.step()
    return {key: value.detach() for key, value in {**log, **mixed}.items()}
