"""One image of the world: a pure function of specification, dataset, split and index."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from adaptbench.data.minicity.domains import look_name, look_of
from adaptbench.data.minicity.looks import Look
from adaptbench.data.minicity.render import render
from adaptbench.data.minicity.scene import Scene, build
from adaptbench.data.minicity.spec import VERSION, WorldSpec, image_size


def draw_image(
    spec: WorldSpec, dataset: str, split: str, index: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image ``index`` (from 0) of a split. Shape: RGB ``(H, W, 3)`` and Cityscapes label ids ``(H, W)``, uint8."""
    scene, look, appearance = scene_of(spec, dataset, split, index)
    return render(scene, look, appearance)


def scene_of(
    spec: WorldSpec, dataset: str, split: str, index: int
) -> tuple[Scene, Look, np.random.Generator]:
    """The street of an image, how it looks, and the draws that remain for its appearance."""
    key = [VERSION, spec.seed, zlib.crc32(f"{dataset}/{split}".encode()), index]
    seeds = np.random.SeedSequence(key).spawn(2)
    geometry, appearance = (np.random.Generator(np.random.PCG64(seed)) for seed in seeds)
    look = look_of(look_name(dataset, split, index), spec.gap)
    return build(spec, look, image_size(dataset, spec.scale, index), geometry), look, appearance
