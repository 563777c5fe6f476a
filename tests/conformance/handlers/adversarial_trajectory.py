"""Whole trainings of the adversarial family, by the methods themselves: AdaptSegNet, MinEnt and AdvEnt."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from adaptbench.networks.deeplabv2_multi import FOUR_BRANCHES
from adaptbench.optim.optimizer import build_optimizer
from methods.adaptsegnet import AdaptSegNet
from methods.advent import AdvEnt
from methods.minent import MinEnt, OutputAdaptation, RerunSettings, log_name

from ..adversarial_training import Reading, Training
from ..case import Case
from ..registry import handler
from ..stand_ins import our_name, small_deeplab, tiny_network

#: Recorded owners of discriminators -> names of outputs.
_DISCRIMINATORS = {
    "d_aux": "aux", "d_main": "main", "discriminator/aux": "aux", "discriminator/main": "main",
}  # fmt: skip
#: How a case calls the outputs of the network -> how the re-runs' framework calls them.
_HEADS = {"main": "decode", "aux": "aux"}


@handler("advent_trajectory", "intrada_trajectory", "minent_trajectory")
def check_original(case: Case) -> None:
    """The original release; the second stage of IntraDA is AdvEnt on other images."""
    kind = MinEnt if case.kind == "minent_trajectory" else AdvEnt
    discriminators = _discriminators(case)

    def train(dtype: torch.dtype) -> Training:
        network = tiny_network(case, case.hyper("dilations", FOUR_BRANCHES), trained_norms=False)
        settings = _original_settings(case, kind)
        return Training(case, kind, settings, network, discriminators, dtype=dtype)

    training = train(torch.float32)
    training.compare_logs("out/", _original_log(case))
    training.compare_norms()
    training.compare_rates()
    training.compare_first_gradients()
    train(torch.float64).compare_final()
    for output in case.arrays("out/d_source_half/"):
        half = training.at_first(log_name(output, "discriminator.loss_source"))
        case.compare(f"out/d_source_half/{output}", half)


@handler("advent_resnet_trajectory")
def check_listings(case: Case) -> None:
    """AdvEnt on the narrow twin of the published network, in all readings of how often tensors are listed."""
    readings = {"once": "once", "repeated_legacy": "repeated", "repeated_current": "repeated-current"}
    for reading, listing in readings.items():
        if not case.has(f"out/{reading}/"):
            continue
        settings = {**_original_settings(case, AdvEnt), "parameter_listing": listing}
        discriminators = _discriminators(case)
        training = Training(case, AdvEnt, settings, small_deeplab(case), discriminators)
        training.compare_logs(f"out/{reading}/", _original_log(case))
        training.compare_norm(f"out/{reading}/grad_norm/model")
        training.compare_first_gradients()
        exact = Training(case, AdvEnt, settings, small_deeplab(case), discriminators, dtype=torch.float64)
        exact.compare_final(f"out/{reading}/final/")
    _check_listing(case, small_deeplab(case))


@handler("advseg", "minent_mmseg_trajectory")
def check_rerun(case: Case) -> None:
    """The re-runs in the framework of HRDA, without the schedule of the network."""
    kind = {"AdvSeg": AdaptSegNet, "MinEnt": MinEnt}[case.hyper("method")]
    settings, discriminators = _rerun_settings(case, kind), _discriminators(case)

    def train(dtype: torch.dtype) -> Training:
        dilations, auxiliary = case.hyper("dilations"), case.hyper("aux_head", True)
        network = tiny_network(case, dilations, trained_norms=True, auxiliary=auxiliary)
        return Training(case, kind, settings, network, discriminators, constant_rate=True, dtype=dtype)

    training = train(torch.float32)
    training.compare_logs("out/log/", _rerun_log(case, kind))
    training.compare_norms()
    training.compare_rates()
    training.compare_first_gradients()
    train(torch.float64).compare_final()


def _discriminators(case: Case) -> dict[str, str]:
    """Owners of the discriminators that are recorded -> names of outputs."""
    return {owner: output for owner, output in _DISCRIMINATORS.items() if case.has(f"param/{owner}/")}


def _original_settings(case: Case, kind: type[OutputAdaptation]) -> dict[str, Any]:
    common = {
        "learning_rate": case.hyper("lr"),
        "momentum": case.hyper("momentum"),
        "weight_decay": case.hyper("weight_decay"),
        "poly_power": case.hyper("power"),
        "iterations": case.hyper("iterations"),
        "schedule_iterations": case.hyper("max_iters"),
        "batch_size": case.hyper("batch"),
        "segmentation_weight": case.hyper("lambda_seg_main"),
        "segmentation_weight_aux": case.hyper("lambda_seg_aux"),
    }
    if kind is MinEnt:
        entropy = {"main": case.hyper("lambda_ent_main"), "aux": case.hyper("lambda_ent_aux")}
        return {**common, "entropy_weight": entropy["main"], "entropy_weight_aux": entropy["aux"]}
    return {
        **common,
        "adversarial_weight": case.hyper("lambda_adv_main"),
        "adversarial_weight_aux": case.hyper("lambda_adv_aux"),
        "discriminator_learning_rate": case.hyper("lr_d"),
        "discriminator_learning_rate_min": case.hyper("lr_d_min", 0.0),
        "discriminator_poly_power": case.hyper("lr_d_power", case.hyper("power")),
        "discriminator_width": case.hyper("ndf"),
    }


def _original_log(case: Case) -> dict[str, Reading]:
    """Recorded values carry no weights, and of the discriminators' losses only the target's half was logged."""
    readings = {
        "loss_seg_src_main": _logged("main", "loss_seg", case.hyper("lambda_seg_main")),
        "loss_seg_src_aux": _logged("aux", "loss_seg", case.hyper("lambda_seg_aux")),
    }
    for output in ("main", "aux"):
        if case.kind == "minent_trajectory":
            weight = case.hyper(f"lambda_ent_{output}")
            readings[f"loss_ent_{output}"] = _logged(output, "target.loss_entropy", weight)
        else:
            weight = case.hyper(f"lambda_adv_{output}")
            readings[f"loss_adv_trg_{output}"] = _logged(output, "target.loss_adversarial", weight)
            readings[f"loss_d_{output}"] = _logged(output, "discriminator.loss_target")
    return readings


def _rerun_settings(case: Case, kind: type[OutputAdaptation]) -> dict[str, Any]:
    """Settings that tell the frameworks apart are those of the re-run."""
    weights = {output: case.hyper("lambda").get(output, 0.0) for output in _HEADS}
    common = {
        **{name: RerunSettings.model_fields[name].default for name in ("align_corners", "ignored_pixels")},
        "head_lr_factor": RerunSettings.model_fields["head_lr_factor"].default,
        "learning_rate": case.hyper("lr"),
        "warmup": 0,
        "momentum": case.hyper("momentum"),
        "weight_decay": case.hyper("weight_decay"),
        "batch_size": case.hyper("batch"),
        "segmentation_weight": case.hyper("loss_weight_main"),
        "segmentation_weight_aux": case.hyper("loss_weight_aux", 0.0),
    }
    if kind is MinEnt:
        return {**common, "entropy_weight": weights["main"], "entropy_weight_aux": weights["aux"]}
    return {
        **common,
        "iterations": case.hyper("max_iters"),
        "adversarial_weight": weights["main"],
        "adversarial_weight_aux": weights["aux"],
        "discriminator_loss": {"LS": "ls", "Vanilla": "bce"}[case.hyper("discriminator_type")],
        "discriminator_learning_rate": case.hyper("lr_d"),
        "discriminator_learning_rate_min": case.hyper("lr_d_min"),
        "discriminator_poly_power": case.hyper("lr_d_power"),
        "discriminator_width": case.hyper("ndf"),
    }


def _rerun_log(case: Case, kind: type[OutputAdaptation]) -> dict[str, Reading]:
    """Recorded values carry their weights."""
    readings: dict[str, Reading] = {}
    outputs = _HEADS if case.hyper("aux_head", True) else {"main": _HEADS["main"]}
    for output, prefix in outputs.items():
        readings[f"{prefix}.loss_seg"] = _logged(output, "loss_seg")
        readings[f"{prefix}.acc_seg"] = _logged(output, "acc_seg")
        if kind is MinEnt:
            readings[f"ent.loss.{output}"] = _logged(output, "target.loss_entropy")
        else:
            readings[f"G_trg.loss.{output}"] = _logged(output, "target.loss_adversarial")
            readings[f"D_src.loss.{output}"] = _logged(output, "discriminator.loss_source")
            readings[f"D_trg.loss.{output}"] = _logged(output, "discriminator.loss_target")
    return readings


def _logged(output: str, key: str, weight: float = 1.0) -> Reading:
    return lambda log: log[log_name(output, key)] / weight


def _check_listing(case: Case, network: nn.Module) -> None:
    """How often every tensor of the network is listed, and at which rate."""
    settings = AdvEnt.Settings.model_validate(_original_settings(case, AdvEnt))
    groups = build_optimizer(network, settings, "repeated").optimizer.param_groups
    rules = {id(p): (group["lr"], group["times"]) for group in groups for p in group["params"]}
    parameters = dict(network.named_parameters())
    for name, times in case.json["times_listed_in_optimizer"].items():
        slow, fast = times["group_1x"], times["group_10x"]
        expected = (settings.learning_rate * (10 if fast else 1), slow + fast) if slow + fast else None
        got = rules.get(id(parameters[our_name(name)]))
        assert got == expected, f"{case.name}: {name} is listed as {got} (rate, times), not as {expected}"
