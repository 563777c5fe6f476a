"""Entropy minimisation at test time: official, for segmentation, with every kind of norm, and with hard labels."""

from __future__ import annotations

import torch
from torch import nn

from adaptbench.networks.inference import Sliding
from adaptbench.test_time.hard_tent import HardTent, HardTentSettings
from adaptbench.test_time.tent import CropTent, Tent, TentSettings, all_norms, official_norms

from ..case import Case
from ..registry import handler
from ..test_time_networks import MixedNorms, TinySeg, TinySegFormer, TinyViT, load, names_of
from ..test_time_streams import (
    Gradients,
    Recorded,
    compare_logits,
    compare_state,
    compare_updates,
    images_of,
    optimizer_of,
)


@handler("tent_official_step")
def check_official(case: Case) -> None:
    network = TinySeg(case, enlarged=True)
    load(case, network)
    tent = _tent(case, network, official_norms(network))
    expected = case.json["expected_structure"]["state_dict_after_configuration"]
    case.expect("state after the preparation", sorted(network.state_dict()) == sorted(expected), True)
    _check_stream(case, tent)
    first = images_of(case)[0]
    with torch.no_grad():
        case.compare("out/logits_of_first_image_after_stream", network(first))


@handler("tent_layernorm")
def check_all_norms(case: Case) -> None:
    network = TinyViT(case) if case.hyper("network") == "vit" else MixedNorms(case)
    load(case, network)
    tent = _tent(case, network, all_norms(network))
    expected = case.json["expected_structure"].get("modules_in_training_mode", [])
    found = [name for name, part in network.named_modules() if part.training]
    case.expect("modules in training mode", found == expected, True)
    _check_stream(case, tent)


def _tent(case: Case, network: nn.Module, trained: list[nn.Parameter]) -> Tent:
    expected = case.json["expected_structure"]["updated"]
    case.expect("updated", sorted(names_of(trained, network)) == sorted(expected), True)
    optimizer = optimizer_of(case, trained)
    return Tent(
        network,
        optimizer,
        case.hyper("steps", 1),
        case.hyper("episodic", False),
        case.hyper("reset_after", 0),
    )


def _check_stream(case: Case, tent: Tent) -> None:
    gradients, outcomes = Gradients(tent.network), []
    for number, image in enumerate(images_of(case)):
        if number in case.hyper("reset_before_images", []):
            tent.restart()
        outcomes.append(tent(image))
        compare_logits(case, number, outcomes[-1].prediction)
        compare_state(case, "params", number, tent.network)
    compare_updates(case, outcomes)
    gradients.compare(case)


@handler("tent_step")
def check_crops(case: Case) -> None:
    network = TinySeg(case, enlarged=False)
    load(case, network)
    width, height = case.hyper("crop_size")
    names = ("momentum", "weight_decay", "steps", "episodic")
    stated = {name: case.hyper(name) for name in names}
    settings = TentSettings(learning_rate=case.hyper("lr"), crop_height=height, crop_width=width, **stated)
    tent = CropTent(network, settings)
    updated = names_of(tent.optimizer.param_groups[0]["params"], network)
    case.expect("updated", sorted(updated) == sorted(case.json["expected_structure"]["updated"]), True)
    gradients, outcomes = Gradients(network), []
    for number, image in enumerate(images_of(case)):
        outcomes.append(tent(image, Recorded(case, number)))
        compare_logits(case, number, outcomes[-1].prediction)
        compare_state(case, "params", number, network)
    compare_updates(case, outcomes)
    gradients.compare(case)


@handler("tent_acdc_hard")
def check_hard_labels(case: Case) -> None:
    network = TinySegFormer(case)
    load(case, network, "param/module.")
    before = {name: value.clone() for name, value in network.named_buffers()}
    mode = Sliding(tuple(case.hyper("slide_crop")), tuple(case.hyper("slide_stride")))
    tent = HardTent(network, HardTentSettings(learning_rate=case.hyper("lr")), mode)
    updated = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    case.expect("updated", updated == case.json["expected_structure"]["updated"], True)
    gradients, outcomes = Gradients(network), []
    for number in range(case.hyper("images")):
        outcomes.append(tent(case.tensor(f"in/view/{number}/0"), tuple(case.hyper("label_size"))))
        case.compare(f"out/prediction/{number}", outcomes[-1].prediction)
        compare_state(case, "params", number, network, "param/module.")
    compare_updates(case, outcomes)
    gradients.compare(case)
    unchanged = all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    case.expect("unchanged", unchanged, case.json["expected_structure"]["running_statistics_unchanged"])
