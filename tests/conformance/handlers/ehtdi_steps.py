"""Single steps of EHTDI from recorded network outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from adaptbench.adaptation import mask_border
from adaptbench.adaptation.boundary_mix import fused_front
from adaptbench.adaptation.hard_label import hard_label, mean_hard_label
from adaptbench.adaptation.seg_loss import IGNORE
from adaptbench.adaptation.source_paste import positions
from adaptbench.adaptation.view_contrast import (
    counterparts,
    label_at,
    pixel_contrast,
    prototype_contrast,
    prototypes,
    similarities,
)
from adaptbench.contracts.method import total_loss

from ..boundary_mixing import OutputsStep, cross_entropies, ignored, ours, recorded_picks, theirs
from ..case import Array, Case
from ..registry import handler

_UNUSED = -999


@handler("ehtdi_source_paste")
def check_paste(case: Case) -> None:
    step = OutputsStep(case)
    _compare_picks(case, step)
    pseudo = hard_label(step.outputs["target/main"], step.method.settings.pseudo_threshold)
    case.compare("out/pseudo_label_full", theirs(case, pseudo))
    case.compare("out/label_source_crop", theirs(case, step.pasted.source_label))
    case.compare("out/label_after_paste", theirs(case, step.pasted.label))
    case.compare("out/strong_after_paste", step.images["strong"])
    case.compare("out/weak_after_paste", step.images["weak"])
    _compare_pasted(case, step)


@handler("ehtdi_boundary_mix")
def check_mix(case: Case) -> None:
    step = OutputsStep(case)
    _compare_picks(case, step)
    _compare_pasted(case, step)
    case.compare("out/weak_input_of_network", step.images["weak"])
    case.compare("out/mask", step.mixed.mask[:, 0])
    case.compare("out/confident_label", theirs(case, step.confident))
    case.compare("out/mixed_image", step.images["mix"])
    case.compare("out/mixed_label", theirs(case, step.mixed.label))
    fused = fused_front(step.confident, step.pasted.mask, step.pasted.source_label)
    case.compare("out/loss_mix", step.log["mix.loss_seg"] / case.hyper("mix_weight"))
    case.compare("out/confident_label_for_prototypes", theirs(case, fused.label))
    case.compare("out/gradient/mix_main_logits", step.gradient("mix/main"))


@handler("ehtdi_total_loss")
def check_total(case: Case) -> None:
    step = OutputsStep(case)
    settings, log = step.method.settings, step.log
    _compare_picks(case, step)
    main, aux = (step.outputs[f"target/{output}"] for output in ("main", "aux"))
    case.compare("out/pseudo_label_main", theirs(case, hard_label(main, settings.pseudo_threshold)))
    case.compare(
        "out/pseudo_label_mean_full", theirs(case, mean_hard_label(main, aux, settings.pseudo_threshold))
    )
    case.compare("out/label_strong_main", theirs(case, step.pasted.label))
    case.compare("out/label_strong_aux", theirs(case, step.aux_label))
    values = cross_entropies(step.method, log)
    for name in ("source_main", "source_aux", "strong_main", "strong_aux"):
        case.compare(f"out/ce/{name}", values[name])
    case.compare("out/ce/mix", values["mix_main"])
    _compare_totals(case, step)
    logged = [
        log["loss_seg"],
        log["aux.loss_seg"],
        log["strong.loss_seg"] + log["mix.loss_seg"],
        log["aux.strong.loss_seg"],
    ]
    case.compare("out/logged_values", torch.stack(logged))


@handler("ehtdi_edge", "ehtdi_edge_disabled")
def check_edge(case: Case) -> None:
    step = OutputsStep(case)
    values = cross_entropies(step.method, step.log)
    _compare_picks(case, step)
    _compare_pasted(case, step)
    confident = step.confident != IGNORE
    _compare_borders(case, "", step.pasted.mask)
    _compare_borders(case, "_confident", confident, outside=step.pasted.mask)
    case.compare("out/border/paste_border_enabled", "strong_main_border" in values)
    case.compare("out/border/confident_border_enabled", "mix_main_border" in values)
    case.compare("out/confident_mask", confident[:, 0])
    case.compare("out/confident_label", theirs(case, step.confident))
    front = fused_front(step.confident, step.pasted.mask, step.pasted.source_label)
    case.compare("out/fused_mask", front.mask[:, 0])
    case.compare("out/fused_label", theirs(case, front.label))
    case.compare("out/mixed_image", step.images["mix"])
    case.compare("out/mixed_label", theirs(case, step.mixed.label))
    case.compare("out/mixed_label_aux", theirs(case, step.mixed.aux_label))
    case.compare(
        "out/mixed_label_border", theirs(case, step.mixed.label.masked_fill(~step.mixed.edge, IGNORE))
    )
    case.compare("out/label_strong_main", theirs(case, step.pasted.label))
    case.compare("out/label_strong_aux", theirs(case, step.aux_label))
    if "strong_main_border" in values:
        edge = mask_border.border(step.pasted.mask)
        for name, label in (("main", step.pasted.label), ("aux", step.aux_label)):
            case.compare(f"out/label_strong_{name}_border", theirs(case, label.masked_fill(~edge, IGNORE)))
    case.compare("out/ce_in_call_order", torch.stack([values[name] for name in case.json["ce_names"]]))
    case.compare("out/loss_mix_total", total_loss(step.groups[2]) / case.hyper("mix_weight"))
    _compare_totals(case, step)


@handler("ehtdi_border_masks")
def check_borders(case: Case) -> None:
    mask = case.tensor("in/mask").bool()[:, None]
    rows, columns = case.hyper("kernel")
    for name in ("erode", "dilate", "border"):
        case.compare(f"out/{name}", getattr(mask_border, name)(mask, (rows, columns))[:, 0])


@handler("ehtdi_contrastive")
def check_contrast(case: Case) -> None:
    strong, weak = (
        case.tensor(f"in/model_output/{view}/small").requires_grad_() for view in ("strong", "weak")
    )
    label = ours(case, case.tensor("out/label"))
    small = label_at(label, (strong.shape[2], strong.shape[3]))
    case.compare("out/label", theirs(case, label))  # from another case's step; here it is an input
    case.compare("out/label_small", theirs(case, small[:, None]))
    factor = case.hyper("temperature_prototype")
    losses = [prototype_contrast(strong[i], weak[i], small[i], factor) for i in _contrasted(case)]
    found = [loss for loss in losses if loss is not None]
    case.expect("samples_with_prototype_term", len(found), len(losses))
    if found:
        _compare_contrast(case, "prototype", torch.stack(found), strong, weak)
    factor = case.hyper("temperature_pixel")
    for block in (7, 512):  # in parts and as a whole
        pixels = [pixel_contrast(s, w, factor, block) for s, w in zip(strong, weak, strict=True)]
        _compare_contrast(case, "pixel", torch.stack(pixels), strong, weak)
    _compare_matrices(case, strong, weak, small[0])


def _contrasted(case: Case) -> list[int]:
    """The samples whose prototypes are contrasted."""
    samples: list[int] = case.json.get("samples_with_prototype_term", [0])
    return samples


def _compare_contrast(case: Case, level: str, losses: Tensor, strong: Tensor, weak: Tensor) -> None:
    gradients = torch.autograd.grad(losses.sum(), (strong, weak), retain_graph=True)
    expected = case.all_arrays[f"out/{level}/loss"].shape
    case.compare(f"out/{level}/loss", losses.view(expected))
    case.compare(f"out/{level}/grad_strong", gradients[0])
    case.compare(f"out/{level}/grad_weak", gradients[1])


def _compare_matrices(case: Case, strong: Tensor, weak: Tensor, label: Tensor) -> None:
    """The matrices of similarities of the first sample, and which column of them is the right one."""
    classes = torch.unique(label[label != IGNORE])
    pixels = torch.cat([logits[0].softmax(dim=0).flatten(1).T for logits in (strong, weak)])
    listed = [("pixel", pixels, "logits_sample0")]
    if case.has("out/prototype/classes"):
        case.compare("out/prototype/classes", classes)
        means = torch.cat([prototypes(logits[0], label, classes) for logits in (strong, weak)])
        listed.append(("prototype", means, "logits"))
    for level, rows, array in listed:
        factor = case.hyper(f"temperature_{level}")
        case.compare(f"out/{level}/{array}", similarities(rows, 0, len(rows)) * factor)
        case.compare(f"out/{level}/target", counterparts(len(rows)))


def _compare_picks(case: Case, step: OutputsStep) -> None:
    case.compare("out/num_selected", [found.number for found in step.found])
    case.compare("out/eligible_count", [found.eligible for found in step.found])
    drawn = recorded_picks(case)
    where = [positions(*pair) for pair in zip(step.found, drawn, strict=True)]
    picked = [np.where(classes == IGNORE, ignored(case), classes) for classes in step.classes]
    listed: dict[str, Sequence[Sequence[int] | Array]] = {
        "draw": drawn,
        "selected_position": where,
        "selected_class": picked,
    }
    for name, rows in listed.items():
        expected = case.all_arrays[f"out/{name}"]
        filled = np.full_like(expected, _UNUSED)
        for slots, row in zip(filled, rows, strict=True):
            slots[: len(row)] = row
        case.compare(f"out/{name}", filled)


def _compare_pasted(case: Case, step: OutputsStep) -> None:
    mask = step.pasted.mask
    case.compare("out/paste_mask", mask[:, 0])
    case.compare("out/paste_label", theirs(case, step.pasted.source_label).masked_fill(~mask[:, 0], 0))


def _compare_borders(case: Case, suffix: str, mask: Tensor, outside: Tensor | None = None) -> None:
    parts = {"erode": mask_border.erode(mask), "dilate": mask_border.dilate(mask)}
    edge = mask_border.border(mask)
    parts["bord"] = edge if outside is None else edge & ~outside
    for name, part in parts.items():
        case.compare(f"out/border/{name}{suffix}", part[:, 0])


def _compare_totals(case: Case, step: OutputsStep) -> None:
    """Losses of both backward passes, contrastive values, and gradients of what the network gave."""
    log, settings = step.log, step.method.settings
    case.compare("out/loss_source", log["loss_seg"] + log["aux.loss_seg"])
    main = [
        value for key, value in log.items() if key.startswith(("strong.loss", "mix.loss", "aux.mix.loss"))
    ]
    aux = [value for key, value in log.items() if key.startswith("aux.strong.loss")]
    case.compare("out/loss_aug_1", torch.stack(main).sum())
    case.compare("out/loss_aug_2", torch.stack(aux).sum())
    total = torch.stack([total_loss(group).detach() for group in step.groups[1:]]).sum()
    case.compare("out/loss_aug_total", total)
    weight = settings.contrast_weight / len(step.pasted.mask)
    values = {name: value / weight for name, value in log.items() if name.startswith("contrast.")}
    case.compare("out/nce", _one_by_one(step, values))
    for name in case.arrays("out/gradient/"):
        case.compare(f"out/gradient/{name}", step.gradient(name))


def _one_by_one(step: OutputsStep, sums: dict[str, Tensor]) -> Tensor:
    """The contrasts in the order of their recording: of classes if there is one, then of pixels, sample by sample."""
    views = zip(*(step.outputs[f"{view}/small"] for view in ("strong", "weak")), strict=True)
    pixels = torch.stack(
        [pixel_contrast(*pair, step.method.settings.pixel_factor) for pair in views]
    ).detach()
    torch.testing.assert_close(pixels.sum(), sums["contrast.loss_pixel"])
    classes = sums.get("contrast.loss_prototype")
    return pixels if classes is None else torch.cat([classes[None], pixels])
