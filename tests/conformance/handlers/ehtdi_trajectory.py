"""Whole trainings of EHTDI, by the method itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adaptbench.adaptation.seg_loss import IGNORE
from adaptbench.adaptation.source_paste import Candidates
from adaptbench.networks.deeplabv2_multi import TWO_BRANCHES
from adaptbench.optim.optimizer import build_optimizer

from ..boundary_mixing import cross_entropies, ignored, recorded_picks, settings_of, theirs
from ..case import Case
from ..ehtdi_training import Training
from ..registry import handler
from ..stand_ins import our_name, small_deeplab, tiny_network, unused

#: Cross entropies of a step with edge enhancement in the order of their recording, all that there may be.
_WITH_BORDERS = (
    "source_main", "source_aux", "mix_main", "mix_main_border", "mix_aux", "strong_main_border", "strong_main",
    "strong_aux_border", "strong_aux",
)  # fmt: skip


@handler("ehtdi_trajectory", "ehtdi_edge_trajectory")
def check(case: Case) -> None:
    network = tiny_network(case, TWO_BRANCHES, trained_norms=True)
    untrained = {our_name(name) for name in case.json["parameters_not_in_optimizer"] if not unused(name)}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in untrained)
    training = Training(case, network)
    _compare_losses(case, "out/", training)
    contrasts = [value for found in training.contrasts for values in found.values() for value in values]
    case.compare("out/contrastive_values", torch.stack(contrasts))
    entropies = [cross_entropies(training.method, log) for log in training.logs]
    in_order = [
        values[name]
        for iteration, values in enumerate(entropies)
        for name in _order(case, iteration)
        if name in values
    ]
    case.compare("out/ce_values_in_call_order", torch.stack(in_order))
    source = training.log("loss_seg") + training.log("aux.loss_seg")
    case.compare("out/loss_source_total", source)
    case.compare("out/lr", torch.tensor(training.rates, dtype=torch.float64))
    for iteration in range(case.hyper("iterations")):
        _compare_decisions(case, iteration, training)
    training.compare_gradients("out/grad_first_iteration/")
    training.compare_states("out/final/", training.method.student.state_dict())
    training.compare_states("out/ema_after_first_step/", training.first_average)
    training.compare_states("out/ema_buffers_before_epoch_end/", training.average_before_the_end)
    training.compare_states("out/ema_final/", training.method.average.network.state_dict())
    image = case.tensor("in/eval_image")
    scored = training.output(training.method.scored_network(), image)
    case.compare("out/eval_main_output_with_ema", scored)
    case.compare("out/eval_main_output_student", training.output(training.method.student, image))


@handler("ehtdi_resnet_trajectory")
def check_listings(case: Case) -> None:
    """On the narrow twin of the published network, in both readings of how often tensors are listed."""
    for reading, listing in (("once", "once"), ("repeated", "repeated-current")):
        if not case.has(f"out/{reading}/"):
            continue
        network = small_deeplab(case, TWO_BRANCHES, trained_norms=True)
        training = Training(case, network, parameter_listing=listing)
        _compare_losses(case, f"out/{reading}/", training)
        training.compare_states(f"out/{reading}/final/", training.method.student.state_dict())
        training.compare_states(f"out/{reading}/ema_final/", training.method.average.network.state_dict())
    training.compare_gradients("out/grad_first_iteration/")
    for iteration in range(case.hyper("iterations")):
        _compare_picks(case, f"out/iter{iteration}/", training.steps[iteration].found)
    _check_listing(case)


def _order(case: Case, iteration: int) -> list[str]:
    """Names of the cross entropies of an iteration in the order of their recording."""
    listed = case.json["ce_order_per_iteration"]
    if isinstance(listed, str):  # "see ce_names rule of ehtdi_edge (border entries present when enabled)"
        return list(_WITH_BORDERS)
    names: list[str] = listed[iteration] if isinstance(listed[0], list) else listed
    return [{"mix": "mix_main"}.get(name, name) for name in names]


def _compare_losses(case: Case, prefix: str, training: Training) -> None:
    log = training.log
    case.compare(f"{prefix}logged/source_main", log("loss_seg"))
    case.compare(f"{prefix}logged/source_aux", log("aux.loss_seg"))
    mixed = log("mix.loss_seg") + log("mix.loss_border") + log("aux.mix.loss_seg")
    main = log("strong.loss_seg") + log("strong.loss_border") + mixed
    aux = log("aux.strong.loss_seg") + log("aux.strong.loss_border")
    case.compare(f"{prefix}logged/aug_main", main)
    case.compare(f"{prefix}logged/aug_aux", aux)
    contrast = log("contrast.loss_prototype") + log("contrast.loss_pixel")
    case.compare(f"{prefix}loss_aug_total", main + aux + contrast)
    case.compare(f"{prefix}grad_norm", torch.stack(training.norms))


def _compare_decisions(case: Case, iteration: int, training: Training) -> None:
    step, prefix = training.steps[iteration], f"out/iter{iteration}/"
    _compare_picks(case, prefix, step.found)
    for sample, classes in enumerate(step.classes):
        if (name := f"{prefix}selected_class_sample{sample}") in case.all_arrays:
            case.compare(name, np.where(classes == IGNORE, ignored(case), classes))
    case.compare(f"{prefix}paste_mask", step.pasted.mask[:, 0])
    case.compare(f"{prefix}label_strong_main", theirs(case, step.pasted.label))
    case.compare(f"{prefix}label_strong_aux", theirs(case, step.aux_label))
    case.compare(f"{prefix}mixed_label", theirs(case, step.mixed.label))
    case.compare(f"{prefix}confident_mask", (step.confident != IGNORE)[:, 0])
    if (name := f"{prefix}border_enabled") in case.all_arrays:
        taken = training.logs[iteration].keys()
        case.compare(name, [key in taken for key in ("strong.loss_border", "mix.loss_border")])


def _compare_picks(case: Case, prefix: str, found: list[Candidates]) -> None:
    case.compare(f"{prefix}num_selected", [sample.number for sample in found])
    for sample, picks in enumerate(recorded_picks(case, prefix)):
        if (name := f"{prefix}draw_sample{sample}") in case.all_arrays:
            case.compare(name, picks)


def _check_listing(case: Case) -> None:
    """How often every tensor of the network is listed, and at which rate."""
    network = small_deeplab(case, TWO_BRANCHES, trained_norms=True)
    settings = settings_of(case, learning_rate=case.hyper("lr"))
    groups = build_optimizer(network, settings, "repeated-current").optimizer.param_groups
    rules = {id(p): (group["lr"], group["times"]) for group in groups for p in group["params"]}
    parameters: dict[str, Tensor] = dict(network.named_parameters())
    for name, times in case.json["times_listed_in_optimizer"].items():
        if unused(name):
            continue
        slow, fast = times["group_1x"], times["group_10x"]
        expected = (settings.learning_rate * (10 if fast else 1), slow + fast) if slow + fast else None
        got = rules.get(id(parameters[our_name(name)]))
        assert got == expected, f"{case.name}: {name} is listed as {got} (rate, times), not as {expected}"
