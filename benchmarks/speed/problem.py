"""A method with random weights and a batch of random images for it."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from adaptbench import networks
from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.settings import resolve
from adaptbench.contracts.task import Task
from adaptbench.data.batch import Batch, Images, LabelledImages
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.draws import Draws
from adaptbench.training.loop import to_device


def new_method(name: str, size: str = "mini", **overrides: Any) -> Any:
    """The method called ``name`` with random weights, in the profile called ``size``, in training mode."""
    chosen = profile(size)
    method = plugins.load(plugins.discover().find("method", name))
    default = str(method.Settings.model_fields["network"].default)
    network = chosen.networks.get(default, default)
    values = {"pretraining": "none", **overrides}
    recipe = networks.spec(network).recipe
    settings = resolve(method.Settings, chosen, None, recipe, network, values).settings
    torch.manual_seed(0)
    return method(Task("gta5_to_cityscapes", "uda", CITYSCAPES19, chosen), settings).train()


def new_batch(method: Any, device: torch.device | None = None) -> Batch:
    """Random images and labels in patches, at the first iteration whose draws ask for jitter and blur."""
    side, count, random = method.settings.crop, method.settings.batch_size, torch.Generator().manual_seed(0)
    images = torch.randn(2, count, 3, side, side, generator=random)
    patches = torch.randint(19, (count, 1, 8, 8), generator=random)
    label = patches.repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)
    names = tuple(str(i) for i in range(count))
    source, target = LabelledImages(images[0], names, label), Images(images[1], names)
    for iteration in itertools.count(500):
        batch = Batch(iteration, Draws(0, iteration), source, target)
        first = method.draw_mix(batch).augmentations[0]
        if first.jitter is not None and first.sigma is not None:
            return to_device(batch, device or torch.device("cpu"))
    raise AssertionError
