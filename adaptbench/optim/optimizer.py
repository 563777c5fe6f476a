"""Optimiser and schedule of a network, on mmengine's parts."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import torch
from mmengine.optim import CosineAnnealingParamScheduler, LinearLR, OptimWrapper, OptimWrapperDict, PolyLR
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from adaptbench.errors import UsageError
from adaptbench.optim.recipe import Recipe
from adaptbench.optim.repeated_sgd import Arithmetic, RepeatedSGD

#: How often SGD lists a tensor of the encoder: once, or once for every module it is nested in, with the arithmetic of
#: the framework that ADVENT used or with that of today.
Listing: TypeAlias = Literal["once", "repeated", "repeated-current"]
_ARITHMETICS: dict[Listing, Arithmetic] = {"repeated": "torch-0.4", "repeated-current": "current"}
#: Number of a block in the names of timm's encoders.
_BLOCK = re.compile(r"^backbone\.model\.blocks\.(\d+)\.")
#: Parts of the names of learned positions in transformers; the first is the papers', and ours have none.
_POSITIONS = ("pos_block", "pos_embed", "relative_position")
#: And of those of Rein's tokens and of the share that they change, which do not decay either.
_TOKENS = ("learnable_tokens", "reins.scale")


def build_optimizer(network: nn.Module, settings: Recipe, listing: Listing = "once") -> OptimWrapper:
    """The optimiser of the self-training papers for ``network``.

    Names are matched by substring and the first match wins: everything with ``head`` in its name learns
    ``head_lr_factor`` times faster, and of the rest everything with ``norm`` in its name does not decay.
    Parameters with equal rules share a group, so that a step is a few fused calls.

    Encoders of other naming are treated alike: nothing of a ``backbone`` belongs to the head, LayerNorm does not
    decay whatever it is called, and neither do learned positions and tokens. (Batch norm called ``bn`` decays, as in
    the papers' ResNets.)

    Raises:
        UsageError: tensors shall be listed repeatedly by another optimiser than sgd.

    Source: HRDA, arXiv 2204.13132, section 4.1 (AdamW, decoder at ten times the learning rate).
    """
    groups: dict[tuple[float, float, int], list[nn.Parameter]] = {}
    norms, depth = _Norms(network), _depth(network)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            times = 1 if listing == "once" else _times_listed(name)
            rate, decay = _rates(name, norms, settings)
            rate *= settings.layer_decay ** _layers_above(name, depth)
            groups.setdefault((rate, decay, times), []).append(parameter)
    if not groups:  # a control that learns nothing
        groups[(settings.learning_rate, 0.0, 1)] = [nn.Parameter(torch.zeros(1))]
    parameters: list[dict[str, Any]] = [
        {"params": p, "lr": lr, "weight_decay": decay} for (lr, decay, _), p in groups.items()
    ]
    if listing != "once":
        if settings.optimizer != "sgd":
            raise UsageError(
                f"Listing parameters repeatedly is defined for optimizer=sgd, not for {settings.optimizer}. "
                "List them once."
            )
        for group, (_, _, times) in zip(parameters, groups, strict=True):
            group["times"] = times
        rate, momentum = settings.learning_rate, settings.momentum
        return OptimWrapper(RepeatedSGD(parameters, rate, momentum, _ARITHMETICS[listing]))
    if settings.optimizer == "adamw":
        betas, epsilon = settings.adam_betas, settings.adam_epsilon
        return OptimWrapper(torch.optim.AdamW(parameters, betas=betas, eps=epsilon, fused=True))
    return OptimWrapper(torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=settings.momentum))


def _times_listed(name: str) -> int:
    """One time for every module below the encoder that holds the parameter called ``name``."""
    return name.count(".") - 1 if name.startswith("backbone.") else 1


def _rates(name: str, norms: _Norms, settings: Recipe) -> tuple[float, float]:
    """Learning rate and weight decay of the parameter called ``name``."""
    if "head" in name and not name.startswith("backbone."):
        spared = not settings.head_norm_weight_decay and ("norm" in name or name in norms.all)
        return settings.learning_rate * settings.head_lr_factor, 0.0 if spared else settings.weight_decay
    if (name in norms.layer or "norm" in name) and not settings.norm_weight_decay:
        return settings.learning_rate, 0.0
    if any(table in name for table in _POSITIONS) and not settings.position_weight_decay:
        return settings.learning_rate, 0.0
    if any(part in name for part in _TOKENS):
        return settings.learning_rate, 0.0
    return settings.learning_rate, settings.weight_decay


def _depth(network: nn.Module) -> int:
    """Number of blocks of the encoder; 0 where timm has none of that name."""
    found = (_BLOCK.match(name) for name, _ in network.named_parameters())
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _layers_above(name: str, depth: int) -> int:
    """How often the rate of a parameter is lowered: never behind the encoder, and once more for every deeper block.

    What is in front of the blocks or behind them in the encoder counts as the deepest.
    """
    if depth == 0 or not name.startswith("backbone."):
        return 0
    match = _BLOCK.match(name)
    return depth - 1 - int(match[1]) if match else depth


class _Norms:
    """Names of the parameters of normalisation layers.

    Attributes:
        layer: of layer normalisations.
        all: of layer, group and batch normalisations.
    """

    def __init__(self, network: nn.Module) -> None:
        self.layer = _names_in(network, (nn.LayerNorm,))
        self.all = self.layer | _names_in(network, (nn.GroupNorm, _BatchNorm))


def _names_in(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> frozenset[str]:
    """Names of the parameters of all modules of these kinds."""
    found = [(name, module) for name, module in network.named_modules() if isinstance(module, kinds)]
    return frozenset(f"{name}.{own}" for name, module in found for own, _ in module.named_parameters())


def by_name(optimizers: OptimWrapper | OptimWrapperDict) -> dict[str, OptimWrapper]:
    """The optimisers of a method by name; a single one is that of the ``student``."""
    return dict(optimizers.items()) if isinstance(optimizers, OptimWrapperDict) else {"student": optimizers}


def poly_schedule(optimizer: OptimWrapper, power: float, iterations: int, lowest: float = 0.0) -> PolyLR:
    """Polynomial decay ``lr(t) = (lr - lowest) * (1 - t/T)^p + lowest``. Units: ``iterations`` is T."""
    return PolyLR(optimizer, power=power, eta_min=lowest, begin=0, end=max(iterations, 1) + 1, by_epoch=False)


class _WarmPolyLR(LRSchedulerMixin, _ParamScheduler):  # type: ignore[misc]  # mmengine is untyped
    """The decay of `poly_schedule` and a linear warm-up, in closed form: their product, or one in place of the other.

    Two schedules in a row, each a factor on the current rates, cannot make this where the lowest rate is not 0.
    """

    def __init__(self, optimizer: OptimWrapper, settings: Recipe, iterations: int) -> None:
        self._settings, self._iterations = settings, max(iterations, 1)
        super().__init__(optimizer, begin=0, by_epoch=False)

    def _get_value(self) -> list[float]:
        settings, step = self._settings, self.last_step
        if step < settings.warmup and not settings.warmup_decays:
            return [rate * _warm(settings, settings.warmup - 1, step) for rate in self.base_values]
        decay = (1 - min(step / self._iterations, 1)) ** settings.poly_power
        lowest = settings.learning_rate_min
        warm = _warm(settings, settings.warmup, step) if settings.warmup_decays else 1.0
        return [((rate - lowest) * decay + lowest) * warm for rate in self.base_values]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; what it follows comes from the settings."""
        state = super().state_dict()
        return {key: value for key, value in state.items() if key not in ("_settings", "_iterations")}


def _warm(settings: Recipe, end: int, step: int) -> float:
    """Share of the rate in a warm-up that is over at ``end``; where that is at once, the share it starts with."""
    start = settings.warmup_start
    return start + (1 - start) * min(step / end, 1) if end else start


def build_schedule(optimizer: OptimWrapper, settings: Recipe, iterations: int) -> list[Any]:
    """Polynomial decay over all iterations, multiplied by a linear warm-up in the first ones.

    The decay runs from iteration 0 to T; the warm-up multiplies it and does not delay it:
    ``lr(t) = ((lr - lowest) * (1 - t/T)^p + lowest) * (s + (1 - s) * min(t/w, 1))``. Where it does not decay during the
    warm-up, the rate is ``lr * (s + (1 - s) * t/(w - 1))`` for t < w and falls from there to where the decay then is.

    With `poly_after_warmup` one follows the other (`_in_a_row`), and with `weight_decay_end` the weight decay is
    annealed.

    Source: reference configuration of DAFormer, arXiv 2111.14887, section 3.3 for the warm-up; code of VFM-UDA, arXiv
    2406.09896, for the other one (docs/quirks.md#v20).
    """
    annealed = _annealed_decay(optimizer, settings, iterations)
    if settings.poly_after_warmup:
        return [*_in_a_row(optimizer, settings, iterations), *annealed]
    lowest = settings.learning_rate_min
    if settings.warmup > 0 and (lowest > 0 or not settings.warmup_decays):
        return [_WarmPolyLR(optimizer, settings, iterations), *annealed]
    schedule: list[Any] = [poly_schedule(optimizer, settings.poly_power, iterations, lowest)]
    if settings.warmup > 0:
        end = settings.warmup + 1  # mmengine reaches the full rate at end - 1
        schedule.append(
            LinearLR(optimizer, start_factor=settings.warmup_start, begin=0, end=end, by_epoch=False)
        )
    return [*schedule, *annealed]


def _in_a_row(optimizer: OptimWrapper, settings: Recipe, iterations: int) -> list[Any]:
    """Warm-up to iteration w, then decay, as mmengine counts them.

    The last iteration of each has its last rate: the full one at w - 1, and at T - 1 the lowest.

    Source: code of Rein, arXiv 2312.04265, and of SoMA, arXiv 2412.04077; docs/quirks.md#r10.
    """
    warmup = settings.warmup if settings.warmup > 1 else 0  # one iteration of it has the full rate
    decay = PolyLR(
        optimizer,
        power=settings.poly_power,
        eta_min=settings.learning_rate_min,
        begin=warmup,
        end=max(iterations, warmup + 1),
        by_epoch=False,
    )
    if not warmup:
        return [decay]
    return [LinearLR(optimizer, start_factor=settings.warmup_start, end=warmup, by_epoch=False), decay]


def _annealed_decay(optimizer: OptimWrapper, settings: Recipe, iterations: int) -> list[Any]:
    """A cosine to `weight_decay_end`, of every group: those without weight decay get some.

    Source: code of SoMA, arXiv 2412.04077; docs/quirks.md#r16.
    """
    if settings.weight_decay_end is None:
        return []
    lowest, end = settings.weight_decay_end, max(iterations, 1)
    return [CosineAnnealingParamScheduler(optimizer, "weight_decay", eta_min=lowest, end=end, by_epoch=False)]
