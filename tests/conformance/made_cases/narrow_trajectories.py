"""Trainings of EHTDI on the narrow twin of the published network, whose tensors may be listed several times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .adversarial_trajectories import RepeatedSgd, Sgd
from .deeplab import narrow_features, narrow_network, narrow_sizes
from .making import Array, Made, Rng, maker, rounds, side
from .plain_networks import statistics_of
from .target_boundaries import MARGIN, TOLERANCE, Network, Trajectory, at_size, evaluated

_BRANCHES = 4


class _Narrow(Network):
    """The residual encoder with both classifiers; norms are trained, but for that of the stem."""

    def __init__(self, rng: Rng, sizes: dict[str, Any]) -> None:
        self._blocks = sizes["blocks"]
        parameters = narrow_network(rng, sizes)
        self.encoder = {name: t for name, t in parameters.items() if "conv2d_list" not in name}
        self.heads = {
            layer: [
                (parameters[f"{layer}.conv2d_list.{i}.weight"], parameters[f"{layer}.conv2d_list.{i}.bias"])
                for i in range(_BRANCHES)
            ]
            for layer in ("layer5", "layer6")
        }
        frozen = {"bn1.weight", "bn1.bias", *statistics_of(parameters)}
        for name, tensor in parameters.items():
            tensor.requires_grad_(name not in frozen)

    def named(self) -> dict[str, Tensor]:
        """Everything by its recorded name."""
        return {name.removeprefix("extractor."): tensor for name, tensor in super().named().items()}

    def predict(self, image: Tensor) -> dict[str, Tensor]:
        """Main and auxiliary logits at the size of the image, and main ones as they are."""
        moving = dict(self.encoder)
        found = narrow_features(moving, image, self._blocks, training=True)
        with torch.no_grad():
            for name in statistics_of(moving):
                self.encoder[name].copy_(moving[name])
        small = evaluated(self.heads["layer6"], found[3])
        auxiliary = evaluated(self.heads["layer5"], found[2])
        return {"main": at_size(small, image), "aux": at_size(auxiliary, image), "small": small}

    def listed(self, name: str) -> int:
        """How often a tensor of the encoder is listed: once in each module that is around it."""
        if not self.encoder[name].requires_grad:
            return 0
        return 1 if name.startswith("conv1") else 4 if "downsample" in name else 3


class _NarrowTrajectory(Trajectory):
    """Without edge enhancement, in one of the readings of how often tensors are listed."""

    crops, images = (33, 40), (42, 48)

    def __init__(self, rng: Rng, reading: str, dtype: torch.dtype) -> None:
        self._reading, self._dtype = reading, dtype
        super().__init__(rng, edges=False)
        self.hyper |= {"iterations": 2, "lr": self.hyper["lr"] / 4}
        for tensor in self.network.named().values():
            tensor.data = tensor.data.to(dtype) if tensor.is_floating_point() else tensor.data

    def built(self) -> Network:
        blocks = [1, 1, 1, 1]
        blocks[side(self.rng, 0, 3)] = 2
        self._sizes = {**narrow_sizes(self.rng), "num_classes": self.classes, "blocks": blocks}
        self.hyper |= self._sizes
        self._narrow = _Narrow(self.rng, self._sizes)
        return self._narrow

    def optimiser(self) -> Sgd:
        momentum, decay = self.hyper["momentum"], self.hyper["weight_decay"]
        if self._reading == "once":
            return Sgd(momentum, decay)
        times = {id(tensor): self._narrow.listed(name) for name, tensor in self._narrow.encoder.items()}
        return RepeatedSgd(momentum, decay, times=times)

    def inputs(self, at: str) -> tuple[dict[str, Tensor], Array, dict[str, Callable[[Array], Array]]]:
        """In the precision of the training."""
        images, label, crops = super().inputs(at)
        return {name: image.to(self._dtype) for name, image in images.items()}, label, crops

    def finish(self) -> Made:
        """What is recorded of these trainings, under the name of the reading.

        First gradients of the encoder are left out: float32 alone may move them by more than is tolerated.
        """
        made = super().finish()
        results = ("out/logged/", "out/loss_aug_total", "out/grad_norm", "out/final/", "out/ema_final/")
        names = ("in/", "param/", "out/grad_first_iteration/layer5", "out/grad_first_iteration/layer6")
        kept = {name: array for name, array in made.arrays.items() if name.startswith(names)}
        for name, array in made.arrays.items():
            if name.startswith(results):
                kept[name.replace("out/", f"out/{self._reading}/", 1)] = array
            elif "/num_selected" in name or "/draw_sample" in name:
                kept[name] = array
        return Made({**made.content, "times_listed_in_optimizer": self._listing()}, kept)

    def tested(self, state: Mapping[str, Tensor], image: Tensor) -> Tensor:
        """Nothing is scored at the end."""
        return image

    def _listing(self) -> dict[str, dict[str, int]]:
        """Of every parameter, in the group of the encoder and in that of the classifiers."""
        parameters = [name for name in self._narrow.encoder if name.endswith(("weight", "bias"))]
        slow = {name: {"group_1x": self._narrow.listed(name), "group_10x": 0} for name in parameters}
        heads = [name for name in self._narrow.named() if "conv2d_list" in name]
        return slow | {name: {"group_1x": 0, "group_10x": 1} for name in heads}


def _trained(seed: int, reading: str, dtype: torch.dtype) -> tuple[Made, float]:
    """A training, and how near a decision came to another one."""
    trajectory = _NarrowTrajectory(np.random.default_rng(seed), reading, dtype)
    for iteration in range(trajectory.hyper["iterations"]):
        trajectory.step(iteration)
    return trajectory.finish(), trajectory.margin


def _tolerance(name: str) -> dict[str, float]:
    kinds = {
        "running": "running_statistics",
        "final": "params",
        "grad_first": "params",
        "grad_norm": "grad_norms",
    }
    found: dict[str, float] = TOLERANCE[
        next((kind for mark, kind in kinds.items() if mark in name), "losses")
    ]
    return found


def _rounded(exact: Made, rough: Made) -> bool:
    """Whether float32 alone moves a result, or how much it has changed, by a good part of what is tolerated."""
    for name, array in exact.arrays.items():
        start = exact.arrays.get(f"param/{name.partition('final/')[2]}", 0.0)
        if name.startswith("out/") and "/iter" not in name:
            pair = [torch.as_tensor(part) - torch.as_tensor(start) for part in (rough.arrays[name], array)]
            if rounds(pair[0].double(), pair[1].double(), _tolerance(name)):
                return True
    return False


@maker("ehtdi_resnet_trajectory", count=1)
def ehtdi_on_a_resnet(rng: Rng) -> Made:
    """Other widths, depths, weights and schedules, in one of the readings."""
    reading = ("once", "repeated")[side(rng, 0, 1)]
    while True:
        seed = side(rng, 0, 2**31)
        exact, margin = _trained(seed, reading, torch.float64)
        if margin > MARGIN and not _rounded(exact, _trained(seed, reading, torch.float32)[0]):
            return exact
