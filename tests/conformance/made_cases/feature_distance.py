"""Distances of features at the blocks of some classes, block by block."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .making import Array, Made, Rng, label_map, maker, normal, side


def coarse(label: Array, factor: int, min_ratio: float, classes: int) -> Array:
    """The class of most pixels of every block, if it has enough of them. Shape: ``(B, 1, H, W)``."""
    rows, columns = label.shape[2] // factor, label.shape[3] // factor
    found = np.full((len(label), 1, rows, columns), 255)
    for b, y, x in np.ndindex(len(label), rows, columns):
        block = label[b, 0, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
        counts = [int((block == c).sum()) for c in [*range(classes), 255]]
        winner = int(np.argmax(counts))
        if winner < classes and np.float32(counts[winner] / factor**2) >= min_ratio:
            found[b, 0, y, x] = winner
    return found


def distance(student: Tensor, imagenet: Tensor, mask: Array) -> Tensor:
    """The mean over the positions of a mask; NaN with a gradient of zero where there is none."""
    norms = [
        ((student[b, :, y, x] - imagenet[b, :, y, x]) ** 2).sum().sqrt() for b, _, y, x in np.argwhere(mask)
    ]
    return torch.stack(norms).mean() if norms else student.sum() * 0 + torch.nan


class _Problem:
    """Hyper-parameters, and what one scale gives."""

    def __init__(self, rng: Rng) -> None:
        self.classes = side(rng, 4, 12)
        self.things = sorted(rng.choice(self.classes, side(rng, 1, self.classes - 1), replace=False).tolist())
        self.weight, self.min_ratio = float(rng.uniform(0.001, 2)), float(rng.uniform(0.3, 0.9))
        self.arrays: dict[str, Any] = {}

    def blocks(
        self, label: Array, student: Tensor, shown: Collection[int] | None
    ) -> tuple[Array | None, Array]:
        """The coarse label, and where features count."""
        if shown is None:
            return None, np.ones((len(student), 1, *student.shape[2:]), dtype=bool)
        found = coarse(label, label.shape[3] // student.shape[3], self.min_ratio, self.classes)
        return found, np.isin(found, list(shown))


@maker("feature_distance")
def feature_distance(rng: Rng) -> Made:
    """With other things, ratios, weights, batches and sizes of blocks."""
    problem = _Problem(rng)
    batch, channels, factor = side(rng, 1, 3), side(rng, 2, 9), side(rng, 5, 16)
    size, rest = (side(rng, 2, 4), side(rng, 2, 5)), (side(rng, 0, 1), side(rng, 0, 1))
    shape = (batch, 1, *(factor * n + r for n, r in zip(size, rest, strict=True)))
    labels = {"label": label_map(rng, shape, problem.classes, block=2 * factor)}
    others = [c for c in range(problem.classes) if c not in problem.things]
    labels["label_without_thing_pixels"] = np.array(others)[labels["label"] % len(others)]
    student, imagenet = (normal(rng, batch, channels, *size).requires_grad_() for _ in range(2))
    arrays: dict[str, Any] = {"in/student_last": student, "in/imagenet_last": imagenet}
    arrays |= {f"in/{name}": label.astype(np.uint8) for name, label in labels.items()}
    facts: dict[str, Any] = {"positions_total": batch * size[0] * size[1]}
    for name, label, shown in (
        ("things", "label", problem.things),
        ("empty_mask", "label_without_thing_pixels", problem.things),
        ("all_pixels", "label", None),
    ):
        found, mask = problem.blocks(labels[label], student, shown)
        loss = problem.weight * distance(student, imagenet, mask)
        (gradient,) = torch.autograd.grad(loss, student)
        arrays |= {f"out/{name}/loss": loss, f"out/{name}/grad_student_last": gradient}
        if found is not None:
            arrays[f"out/{name}/coarse_label"] = found.astype(np.uint8)
            arrays[f"out/{name}/mask"] = mask.astype(np.uint8)
        if name == "things":
            facts["masked_positions_things"] = int(mask.sum())
        if name == "empty_mask":
            facts[name] = {"loss_is_nan": True, "gradient_abs_sum": 0.0}
    several, positions = _two_scales(rng, problem)
    hyper = {
        "imnet_feature_dist_lambda": problem.weight,
        "thing_classes": problem.things,
        "min_ratio": problem.min_ratio,
        "num_classes": problem.classes,
    }
    content = {"hyper_parameters": hyper, "facts": facts | positions}
    return Made({**content, "tolerance": {"atol": 1e-6, "rtol": 1e-5}}, arrays | several)


def _two_scales(rng: Rng, problem: _Problem) -> tuple[dict[str, Any], dict[str, int]]:
    """Context and detail crop, whose distances are added."""
    batch, channels, factor = side(rng, 1, 3), side(rng, 2, 6), 2 * side(rng, 2, 6)
    whole, part = (side(rng, 2, 4), side(rng, 2, 4)), (side(rng, 1, 4), side(rng, 1, 4))
    label = label_map(rng, (batch, 1, *(2 * factor * n for n in whole)), problem.classes, block=factor)
    top, left = (
        side(rng, 0, 2 * factor * n - factor * min(p, 2 * n)) for n, p in zip(whole, part, strict=True)
    )
    part = (min(part[0], 2 * whole[0]), min(part[1], 2 * whole[1]))
    box = [top, top + factor * part[0], left, left + factor * part[1]]
    arrays: dict[str, Any] = {
        "in/multi/label": label.astype(np.uint8),
        "in/multi/crop_box_y1_y2_x1_x2": np.array(box),
    }
    total, students, facts = torch.zeros((), dtype=torch.float64), [], {}
    for scale, size, seen in (
        ("lr", whole, label),
        ("hr", part, label[..., box[0] : box[1], box[2] : box[3]]),
    ):
        student, imagenet = (normal(rng, batch, channels, *size).requires_grad_() for _ in range(2))
        arrays |= {f"in/multi/student_{scale}_last": student, f"in/multi/imagenet_{scale}_last": imagenet}
        found, mask = problem.blocks(seen, student, problem.things)
        assert found is not None
        arrays[f"out/multi/coarse_label_{scale}"] = found.astype(np.uint8)
        facts[f"multi_positions_{scale}"] = int(mask.sum())
        total = total + problem.weight * distance(student, imagenet, mask)
        students.append(student)
    gradients = torch.autograd.grad(total, students)
    arrays |= {f"out/multi/grad_student_{s}_last": g for s, g in zip(("lr", "hr"), gradients, strict=True)}
    return {**arrays, "out/multi/loss": total}, facts
