"""Typical mistakes in PixMatch and EHTDI, planted one at a time: each must make a recorded case fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adaptbench.adaptation import cut_mix, hard_label, mask_border, source_paste, view_contrast
from adaptbench.adaptation.boundary_mix import Front, fused_front
from adaptbench.adaptation.class_mix import ClassIds, mix
from adaptbench.adaptation.cut_mix import Box, CutDraw, LabelledBatch
from adaptbench.adaptation.source_paste import Candidates
from adaptbench.data import crop_views, id_tables, taxonomy, transforms
from adaptbench.data.framing import WholeImages
from adaptbench.data.normalisation import Normalisation
from adaptbench.evaluation import metrics
from methods import ehtdi
from methods.ehtdi import EHTDI, BoundaryMixed, Pasted
from methods.pixmatch_source import Predictions

from .handlers import boundary_images, boundary_parts, ehtdi_steps
from .planted import Mutation, assert_noticed

PASTE = EHTDI.paste
BOUNDARY_MIX = EHTDI.boundary_mix
CUT_MIX = cut_mix.cut_mix
RESIZED = cut_mix._resized


def as_drawn(found: Candidates, picks: Sequence[int], rule: str = "shifted") -> ClassIds:
    return np.asarray(picks, dtype=np.int64) + len(found.values) - found.eligible


def ignore_last(label: Tensor, first: int) -> Candidates:
    values = torch.unique(label).numpy().astype(np.int64)
    return Candidates(values, int(((values >= first) & (values != 255)).sum()))


def before_pasting(self: EHTDI, pasted: Pasted, weak: Predictions) -> Tensor:
    label = hard_label.hard_label(weak.main, self.settings.mix_threshold)
    return label.masked_fill(pasted.mask, 255)


def true_labels(self: EHTDI, pasted: Pasted, confident: Tensor) -> Front:
    return fused_front(confident, pasted.mask, pasted.source_label)


def weak_background(self: EHTDI, pasted: Pasted, confident: Tensor, aux: Tensor) -> BoundaryMixed:
    return BOUNDARY_MIX(self, pasted._replace(source_strong=pasted.weak), confident, aux)


def swapped_front(self: EHTDI, pasted: Pasted, confident: Tensor) -> Front:
    return Front(confident == 255, confident)


def pasted_from_strong(self: EHTDI, batch: Any) -> Pasted:
    pasted = PASTE(self, batch)
    return pasted._replace(strong=mix(pasted.mask, pasted.source_strong, pasted.strong))


def all_samples(self: EHTDI, samples: str) -> slice:
    return slice(None)


def with_itself(rows: Tensor, start: int, block: int) -> Tensor:
    return rows[start : start + block] @ rows.T


def of_cosines(rows: Tensor, start: int, block: int) -> Tensor:
    rows = functional.normalize(rows)
    own = torch.arange(start, min(start + block, len(rows)))
    return (rows[start : start + block] @ rows.T).scatter(1, own[:, None], -100_000.0)


def next_row(rows: int) -> Tensor:
    return torch.arange(rows).roll(1)


def of_probabilities(logits: Tensor, label: Tensor, classes: Tensor) -> Tensor:
    return torch.stack([logits.softmax(dim=0)[:, label == c].mean(dim=1) for c in classes])


def weak_is_a_constant(strong: Tensor, weak: Tensor, factor: float, block: int = 512) -> Tensor:
    pixels = [logits.softmax(dim=0).flatten(1).T for logits in (strong, weak.detach())]
    return view_contrast.paired_contrast(pixels[0], pixels[1], factor, block) + 0 * weak.sum()


def of_raw_logits(strong: Tensor, weak: Tensor, factor: float, block: int = 512) -> Tensor:
    pixels = [logits.flatten(1).T for logits in (strong, weak)]
    return view_contrast.paired_contrast(pixels[0], pixels[1], factor, block)


def nearest_exact(label: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(label.float(), size=size, mode="nearest-exact").long().squeeze(1)


def centred(mask: Tensor, kernel: tuple[int, int] = (2, 2)) -> Tensor:
    return functional.max_pool2d(mask.float(), kernel_size=3, stride=1, padding=1).bool()


def outside_erodes(mask: Tensor, kernel: tuple[int, int] = (2, 2)) -> Tensor:
    widened = functional.pad(mask.float(), (1, 0, 1, 0))
    return (-functional.max_pool2d(-widened, kernel_size=2, stride=1)).bool()


def never_swapped(first: LabelledBatch, second: LabelledBatch, draw: CutDraw) -> LabelledBatch:
    return CUT_MIX(first, second, CutDraw(False, draw.share, draw.row, draw.column))


def area_of_the_share(size: tuple[int, int], draw: CutDraw) -> Box:
    sides = [int(length * (1.0 - draw.share)) for length in size]
    ranges = [
        slice(max(middle - side // 2, 0), min(middle + side // 2, length))
        for middle, side, length in zip((draw.row, draw.column), sides, size, strict=True)
    ]
    return Box(*ranges)


def bilinear(batch: LabelledBatch, size: tuple[int, int]) -> LabelledBatch:
    image = functional.interpolate(batch.image, size=size, mode="bilinear", align_corners=False)
    return RESIZED(batch, size)._replace(image=image)


def not_swapped(image: Tensor, values: Normalisation, levels: str = "truncated") -> list[Any]:
    return [pixels[..., ::-1].copy() for pixels in GREY_LEVELS(image, values, "truncated")]


def never_cut(image: Any, box: Any, size: tuple[int, int]) -> Any:
    return transforms.resize_image(image, size[::-1])


def label_of_another_rule(label: Any, box: Any, size: tuple[int, int]) -> Any:
    part = label[box.top : box.top + box.height, box.left : box.left + box.width]
    return np.asarray(cv2.resize(part, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT))


def by_opencv(self: WholeImages, image: Any, size: tuple[int, int]) -> Any:
    return transforms.resize_image(image, size)


def label_by_opencv(self: WholeImages, label: Any, size: tuple[int, int]) -> Any:
    return np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST))


def unnumbered(id_space: str, class_set: str) -> Any:
    table = taxonomy.label_map(id_space, "cityscapes19")
    kept = id_tables.SIXTEEN if class_set == "cityscapes16" else id_tables.THIRTEEN
    return table if class_set == "cityscapes19" else np.where(np.isin(table, kept), table, 255)


def absent_is_zero(matrix: Any) -> Any:
    return np.nan_to_num(metrics.iou(matrix))


GREY_LEVELS = crop_views.grey_levels


def on(case: str, *mutations: tuple[str, object, str, object]) -> Sequence[Mutation]:
    return [Mutation(name, case, *rest) for name, *rest in mutations]  # type: ignore[arg-type]


MUTATIONS = [
    *on(
        "ehtdi_boundary_mix",
        ("the drawn class is pasted", source_paste, "positions", as_drawn),
        ("ignored pixels sorted last", ehtdi, "candidates", ignore_last),
        ("confident before pasting", EHTDI, "confident_label", before_pasting),
        ("true labels on top", EHTDI, "front", true_labels),
        ("the source in its own colours", EHTDI, "boundary_mix", weak_background),
        ("the source on top", EHTDI, "front", swapped_front),
        ("pasted in other colours", EHTDI, "paste", pasted_from_strong),
        ("all samples learned", EHTDI, "_learned", all_samples),
    ),
    *on(
        "ehtdi_contrastive",
        ("similar to itself", view_contrast, "similarities", with_itself),
        ("cosines", view_contrast, "similarities", of_cosines),
        ("wrong counterpart", view_contrast, "counterparts", next_row),
        ("prototypes of probabilities", view_contrast, "prototypes", of_probabilities),
        ("weak view is a constant", ehtdi_steps, "pixel_contrast", weak_is_a_constant),
        ("raw logits", ehtdi_steps, "pixel_contrast", of_raw_logits),
        ("labels of the exact nearest pixel", ehtdi_steps, "label_at", nearest_exact),
    ),
    *on(
        "ehtdi_border_masks",
        ("a centred kernel", mask_border, "dilate", centred),
        ("the outside erodes", mask_border, "erode", outside_erodes),
    ),
    *on(
        "cutmix",
        ("never swapped", boundary_parts, "cut_mix", never_swapped),
        ("sides by the share", cut_mix, "cut_box", area_of_the_share),
        ("bilinear", cut_mix, "_resized", bilinear),
    ),
    *on(
        "ehtdi_augment",
        ("channels not swapped", crop_views, "grey_levels", not_swapped),
        ("not cut", crop_views, "crop_image", never_cut),
        ("labels of the exact nearest pixel", crop_views, "crop_label", label_of_another_rule),
    ),
    *on(
        "ehtdi_input_pipeline",
        ("images resized by OpenCV", WholeImages, "image", by_opencv),
        ("labels resized by OpenCV", WholeImages, "label", label_by_opencv),
    ),
    *on("ehtdi_label_maps", ("not renumbered", boundary_images, "label_map", unnumbered)),
    *on("ehtdi_metric", ("absent classes count", boundary_images, "iou", absent_is_zero)),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_mistake_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(mutation, monkeypatch)
