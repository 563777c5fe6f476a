"""EHTDI: high-quality target domain information (Li et al., Exploring High-quality Target Domain Information, 2022).

It goes on from a network trained on the source (`methods/pixmatch_source.py`). A training step:

1. The student learns source images: cross entropy.
2. It labels target images; rare classes of the source are pasted onto a part of them, seen in two colours.
3. It learns the recoloured view: cross entropy with these labels.
4. Its predictions for both views of a pixel, and of a class, shall be most like each other (contrast).
5. Where it is sure of the view in its own colours, target pixels are put on top of the source (target-boundary mix), so
   that it sees the boundaries of the target's objects with sure labels.
6. It learns the mixed image: cross entropy.
7. A running average follows the student; it is what is scored.

With `edge_enhancement` the pixels at the borders of what is pasted count once more.

Published: 58.8 mIoU on GTA5 to Cityscapes, cityscapes19, val at 1280x640, with the checkpoint that is best on target
labels; 62.0 with `edge_enhancement`. Ours scores the last iterate at the size of the label files.

Quirks of the published behaviour, kept as defaults beside those of `methods/pixmatch.py`:

- the list of classes is read one place too early, so that the highest class is never pasted and the one below the
  eligible ones, or ignored pixels, may be (`paste_pick`);
- the mix is learned from the first sample of the batch alone, though all are seen (`mix_samples`);
- so is the contrast of classes, which is divided by the whole batch all the same (`prototype_samples`);
- pasted pixels come from the image in its own colours, in both views;
- the auxiliary output's labels do not know what was pasted (`aux_paste`);
- without edge enhancement confident pixels keep their predicted labels where they were pasted (`mix_label`);
- with it, the border of the mix carries the weight of the mix squared (`mix_border_weight`), and the losses at borders
  are dropped for the whole batch if one of its first two samples has no border (`border_rule`).

A mix without any labelled pixel costs 0 here, and is no number in the release.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from adaptbench.adaptation.boundary_mix import Front, confident_front, fused_front
from adaptbench.adaptation.class_mix import ClassIds, class_mask, mix
from adaptbench.adaptation.hard_label import hard_label
from adaptbench.adaptation.mask_border import border
from adaptbench.adaptation.seg_loss import IGNORE, labelled_cross_entropy
from adaptbench.adaptation.source_paste import Pick, candidates, draw_picks, picked_classes
from adaptbench.adaptation.view_contrast import label_at, pixel_contrast, prototype_contrast
from adaptbench.contracts.method import LossGroup, PublishedSettings
from adaptbench.contracts.profiles import Iterations
from adaptbench.data.batch import Batch
from methods.pixmatch import ORIGINAL, Consistency
from methods.pixmatch_source import Predictions

#: Samples of a batch that a loss is taken of.
Samples: TypeAlias = Literal["first", "all"]
#: Samples whose border decides whether losses at borders are taken.
_INSPECTED = 2


class Pasted(NamedTuple):
    """Parts of target images with source classes pasted in. Labels int64 ``(B, 1, h, w)``, 255 = ignore.

    Attributes:
        weak: image in its own colours.
        strong: image in other colours.
        label: of the main output.
        mask: bool, where the source was pasted.
        source_label: of the part of the source that was pasted from.
        source_strong: that part in other colours.
        target_weak: the target in its own colours, without what was pasted.
    """

    weak: Tensor
    strong: Tensor
    label: Tensor
    mask: Tensor
    source_label: Tensor
    source_strong: Tensor
    target_weak: Tensor


class BoundaryMixed(NamedTuple):
    """Source images with target pixels on top. Labels int64 ``(B, 1, h, w)``, 255 = ignore.

    Attributes:
        image: the mixed images.
        label: of the main output.
        aux_label: of the auxiliary one.
        mask: bool, where the target is.
        edge: bool, border of the confident target.
    """

    image: Tensor
    label: Tensor
    aux_label: Tensor
    mask: Tensor
    edge: Tensor


class EHTDI(Consistency["EHTDI.Settings"]):
    """Pasting, target-boundary mix, and contrast between two views."""

    name = "ehtdi"
    title = "EHTDI"
    paper = "arXiv:2208.06100"
    tags = ("self-training", "contrastive")

    def losses(self, batch: Batch) -> Iterable[LossGroup]:
        """Source loss; both views of the pasted target, and their contrast; the target-boundary mix."""
        yield self.source_pass(batch)[0]  # 1
        pasted = self.paste(batch)  # 2
        strong = self.predict_all(pasted.strong)
        with torch.set_grad_enabled(self.settings.contrast_weight > 0):
            weak = self.predict_all(pasted.weak)
        confident, aux_label = self.confident_label(pasted, weak), self.aux_label(weak)
        contrasted = fused_front(confident, pasted.mask, pasted.source_label).label
        yield {
            **self.strong_loss(strong, pasted, aux_label),  # 3
            **self.contrast(strong, weak, contrasted),  # 4
            "pasted.share": pasted.mask.float().mean(),
        }
        del strong, weak
        if self.settings.mix_weight > 0:
            yield self.mix_loss(self.boundary_mix(pasted, confident, aux_label))  # 5 and 6

    def paste(self, batch: Batch) -> Pasted:
        """Parts of both domains in both views, the ones of the target with source classes."""
        assert batch.target is not None
        with torch.no_grad():
            pseudo = hard_label(self.predict_all(batch.target.image).main, self.settings.pseudo_threshold)
        source_draws = self.draw_views(batch.draws, "source views", batch.source.image)
        target_draws = self.draw_views(batch.draws, "target views", batch.target.image)
        source, source_label = self.crop(batch.source.image, batch.source.label, source_draws)
        target, label = self.crop(batch.target.image, pseudo, target_draws)
        mask = class_mask(source_label, self.draw_classes(batch, source_label))
        pasted = Pasted(
            weak=mix(mask, source.weak, target.weak),
            strong=mix(mask, source.weak, target.strong),
            label=mix(mask, source_label, label),
            mask=mask,
            source_label=source_label,
            source_strong=source.strong,
            target_weak=target.weak,
        )
        self.observe("pasted", image=pasted.strong, label=pasted.label, mask=mask)
        return pasted

    def draw_classes(self, batch: Batch, label: Tensor) -> list[ClassIds]:
        """The classes that are pasted, per sample."""
        first, rule = self.settings.paste_first_class, self.settings.paste_pick
        found = [candidates(single, first) for single in label]
        return [
            picked_classes(sample, draw_picks(sample, batch.draws.numpy(f"pasted classes {i}")), rule)
            for i, sample in enumerate(found)
        ]

    def confident_label(self, pasted: Pasted, weak: Predictions) -> Tensor:
        """Labels where the student is sure: of the pasted images, with edge enhancement of the target as it is."""
        logits = weak.main
        if self.settings.edge_enhancement:
            with torch.no_grad():
                logits = self.predict_all(pasted.target_weak).main
        label = hard_label(logits, self.settings.mix_threshold)
        if self.observers:
            self.observe("pseudo", label=hard_label(logits, 0.0), confident=label != IGNORE)
        return label

    def strong_loss(self, strong: Predictions, pasted: Pasted, aux_label: Tensor) -> dict[str, Tensor]:
        """What is learned from the recoloured target, and with edge enhancement from the borders of what was pasted."""
        weight = self.settings.augmentation_weight
        if self.settings.aux_paste:
            aux_label = mix(pasted.mask, pasted.source_label, aux_label)
        losses = self.consistency(strong, pasted.label, aux_label, "strong.loss_seg", weight)
        edge = border(pasted.mask)
        if self.settings.edge_enhancement and self._have_borders(edge):
            main, aux = (label.masked_fill(~edge, IGNORE) for label in (pasted.label, aux_label))
            losses |= self.consistency(strong, main, aux, "strong.loss_border", weight)
        return losses

    def contrast(self, strong: Predictions, weak: Predictions, label: Tensor) -> dict[str, Tensor]:
        """Both contrasts, divided by the number of samples."""
        if self.settings.contrast_weight == 0:
            return {}
        views = list(zip(strong.small, weak.small, strict=True))
        pixels = [pixel_contrast(*pair, self.settings.pixel_factor) for pair in views]
        small = label_at(label, (strong.small.shape[2], strong.small.shape[3]))
        chosen = self._learned(self.settings.prototype_samples)
        classes = [
            prototype_contrast(*pair, at, self.settings.prototype_factor)
            for pair, at in zip(views[chosen], small[chosen], strict=True)
        ]
        weight = self.settings.contrast_weight / len(views)
        losses = {"contrast.loss_pixel": weight * torch.stack(pixels).sum()}
        if found := [value for value in classes if value is not None]:
            losses["contrast.loss_prototype"] = weight * torch.stack(found).sum()
        return losses

    def mix_loss(self, mixed: BoundaryMixed) -> dict[str, Tensor]:
        """What is learned from the confident target on top of the source."""
        chosen, predictions = self._learned(self.settings.mix_samples), self.predict_all(mixed.image)
        main, weight = predictions.main[chosen], self.settings.mix_weight
        losses = {"mix.loss_seg": weight * labelled_cross_entropy(main, mixed.label[chosen])}
        if self.settings.edge_enhancement:
            if self._have_borders(mixed.edge):
                label = mixed.label.masked_fill(~mixed.edge, IGNORE)
                factor = weight if self.settings.mix_border_weight == "squared" else 1.0
                losses["mix.loss_border"] = weight * factor * labelled_cross_entropy(main, label[chosen])
            if predictions.aux is not None:
                loss = labelled_cross_entropy(predictions.aux[chosen], mixed.aux_label[chosen])
                losses["aux.mix.loss_seg"] = weight * self._aux_weight * loss
        return {**losses, "mix.pasted": mixed.mask.float().mean()}

    def boundary_mix(self, pasted: Pasted, confident: Tensor, aux_label: Tensor) -> BoundaryMixed:
        """The confident target on top of the source."""
        front = self.front(pasted, confident)
        known = mix(pasted.mask, pasted.source_label, aux_label)
        mixed = BoundaryMixed(
            image=mix(front.mask, pasted.strong, pasted.source_strong),
            label=mix(front.mask, front.label, pasted.source_label),
            aux_label=mix(front.mask, known, pasted.source_label),
            mask=front.mask,
            edge=border(confident != IGNORE) & ~pasted.mask,
        )
        self.observe("mixed", image=mixed.image, label=mixed.label, mask=mixed.mask)
        return mixed

    def front(self, pasted: Pasted, confident: Tensor) -> Front:
        """What of the target is put on top of the source."""
        fused = fused_front(confident, pasted.mask, pasted.source_label)
        if self.settings.edge_enhancement:
            return fused
        front = confident_front(confident)
        if self.settings.mix_label == "as-published":
            return front
        return front._replace(label=fused.label.masked_fill(~front.mask, IGNORE))

    @property
    def _aux_weight(self) -> float:
        return self.settings.augmentation_weight * self.settings.segmentation_weight_aux

    def _have_borders(self, edge: Tensor) -> bool:
        """Whether losses at these borders are taken. Shape: bool ``(B, 1, h, w)``."""
        if self.settings.border_rule == "any":
            return bool(edge.any())
        return bool(edge[:_INSPECTED].flatten(1).any(dim=1).all())

    def _learned(self, samples: Samples) -> slice:
        return slice(0, 1) if samples == "first" else slice(None)

    class Settings(Consistency.Settings):
        """Settings of the adaptation."""

        iterations: Iterations = Field(250_000, ge=0, description="iterations of the adaptation")
        augmentation_weight: float = Field(
            0.1,
            ge=0,
            description="weight of learning the recoloured target; of its auxiliary output, a factor",
        )
        mix_weight: float = Field(0.1, ge=0, description="weight of the target-boundary mix; 0 = none")
        contrast_weight: float = Field(0.01, ge=0, description="weight of both contrasts; 0 = none")
        mix_threshold: float = Field(
            0.95, ge=0, le=1, description="probability that a pixel of the mix exceeds"
        )
        pixel_factor: float = Field(20.0, gt=0, description="on similarities of pixels")
        prototype_factor: float = Field(7.0, gt=0, description="on similarities of classes")
        edge_enhancement: bool = Field(
            False, description="count pixels at borders of what is pasted once more"
        )
        paste_first_class: int = Field(5, ge=0, description="lowest class that is pasted")
        paste_pick: Pick = Field(
            "shifted", description="which class a draw means: shifted, as published, or eligible"
        )
        mix_samples: Samples = Field("first", description="samples of the batch whose mix is learned")
        prototype_samples: Samples = Field("first", description="samples whose classes are contrasted")
        aux_paste: bool = Field(
            False, description="whether the auxiliary output learns the labels of what is pasted"
        )
        mix_label: Literal["as-published", "true"] = Field(
            "as-published", description="labels of pasted pixels in the mix without edge enhancement"
        )
        mix_border_weight: Literal["squared", "once"] = Field(
            "squared", description="power of the weight of the mix on its border"
        )
        border_rule: Literal["first-two", "any"] = Field(
            "first-two", description="samples that need a border for losses at borders"
        )

    published: ClassVar[PublishedSettings] = {
        ("gta5_to_cityscapes", "deeplabv2-pixmatch-r101"): ORIGINAL,
        ("synthia_to_cityscapes", "deeplabv2-pixmatch-r101"): {
            **ORIGINAL,
            "contrast_weight": 0.008,
            "source_height": 720,
        },
    }
