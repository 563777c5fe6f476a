"""Optimiser and schedule of a network, on mmengine's parts."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.optim import LinearLR, OptimWrapper, PolyLR
from torch import nn

from adaptbench.settings import Settings


def build_optimizer(network: nn.Module, settings: Settings) -> OptimWrapper:
    """The optimiser of the self-training papers for ``network``.

    Names are matched by substring and the first match wins: everything with ``head`` in its name learns
    ``head_lr_factor`` times faster, and of the rest everything with ``norm`` in its name does not decay.
    Parameters with equal rules share a group, so that a step is a few fused calls.

    Source: HRDA, arXiv 2204.13132, section 4.1 (AdamW, decoder at ten times the learning rate).
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_rates(name, settings), []).append(parameter)
    if not groups:  # a control that learns nothing
        groups[(settings.learning_rate, 0.0)] = [nn.Parameter(torch.zeros(1))]
    parameters = [{"params": p, "lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]
    if settings.optimizer == "adamw":
        return OptimWrapper(torch.optim.AdamW(parameters, betas=(0.9, 0.999)))
    return OptimWrapper(torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=settings.momentum))


def _rates(name: str, settings: Settings) -> tuple[float, float]:
    """Learning rate and weight decay of the parameter called ``name``."""
    if "head" in name:
        return settings.learning_rate * settings.head_lr_factor, settings.weight_decay
    if "norm" in name and not settings.norm_weight_decay:
        return settings.learning_rate, 0.0
    return settings.learning_rate, settings.weight_decay


def build_schedule(optimizer: OptimWrapper, settings: Settings) -> list[Any]:
    """Polynomial decay over all iterations, multiplied by a linear warm-up in the first ones.

    The decay runs from iteration 0; the warm-up multiplies it and does not delay it:
    ``lr(t) = lr * (1 - t/T)^p * (s + (1 - s) * min(t/w, 1))``.

    Source: reference configuration of DAFormer, arXiv 2111.14887, section 3.3 for the warm-up.
    """
    total = max(settings.iterations, 1)
    schedule: list[Any] = [
        PolyLR(optimizer, power=settings.poly_power, eta_min=0.0, begin=0, end=total + 1, by_epoch=False)
    ]
    if settings.warmup > 0:
        schedule.append(
            LinearLR(
                optimizer,
                start_factor=settings.warmup_start,
                begin=0,
                end=settings.warmup + 1,  # mmengine reaches the full rate at end - 1
                by_epoch=False,
            )
        )
    return schedule
