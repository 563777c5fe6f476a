"""One image of the world: a pure function of specification, dataset, split and index."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from adaptbench.data.minicity.domains import look_name, look_of
from adaptbench.data.minicity.render import render
from adaptbench.data.minicity.scene import build
from adaptbench.data.minicity.spec import VERSION, WorldSpec, image_size


def draw_image(
    spec: WorldSpec, dataset: str, split: str, index: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image ``index`` (from 0) of a split. Shape: RGB ``(H, W, 3)`` and Cityscapes label ids ``(H, W)``, uint8."""
    key = [VERSION, spec.seed, zlib.crc32(f"{dataset}/{split}".encode()), index]
    seeds = np.random.SeedSequence(key).spawn(2)
    geometry, appearance = (np.random.Generator(np.random.PCG64(seed)) for seed in seeds)
    look = look_of(look_name(dataset, split, index), spec.gap)
    scene = build(spec, look, image_size(dataset, spec.scale, index), geometry)
    return render(scene, look, appearance)
