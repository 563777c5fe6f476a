"""CoTTA: the official class, the form for segmentation, and the form for Cityscapes to ACDC."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaptbench.networks.inference import Sliding
from adaptbench.test_time.cotta import Cotta, CottaSettings, official_parameters
from adaptbench.test_time.crop_cotta import CropCotta, CropCottaSettings
from adaptbench.test_time.trio import Trio
from adaptbench.test_time.updated import weights_and_biases
from adaptbench.test_time.view_cotta import View, ViewCotta, ViewCottaSettings, plain_and_mirrored

from ..case import Case
from ..registry import handler
from ..test_time_networks import TinySeg, TinySegFormer, load, names_of
from ..test_time_streams import (
    Gradients,
    Recorded,
    compare_logits,
    compare_state,
    compare_updates,
    images_of,
    optimizer_of,
)


@handler("cotta_official_step")
def check_official(case: Case) -> None:
    network = TinySeg(case, enlarged=True)
    load(case, network)
    trained = official_parameters(network)
    _check_names(case, names_of(trained, network), network)
    imagenet = case.hyper("variant") != "cifar"
    settings = CottaSettings(
        average=case.hyper("mt"), restore=case.hyper("rst"), threshold=case.hyper("ap"),
        augmentations=case.all_arrays["in/draws/augment"].shape[-2], symmetric=imagenet, always=not imagenet,
        steps=case.hyper("steps", 1), episodic=case.hyper("episodic", False),
    )  # fmt: skip
    augment = _Augment(case)
    cotta = Cotta(network, optimizer_of(case, trained), settings, augment)
    kept = case.json["expected_structure"].get("state_dict_keys_of_the_restored_source")
    case.expect(
        "state of the source", kept is None or sorted(kept) == sorted(cotta.trio.source.state_dict()), True
    )
    gradients, outcomes, counts = Gradients(network), [], []
    for number, image in enumerate(images_of(case)):
        if number in case.hyper("reset_before_images", []):
            cotta.restart()
        augment.image, augment.count = number, 0
        outcomes.append(cotta(image, Recorded(case, number)))
        counts.append(augment.count)
        compare_logits(case, number, outcomes[-1].prediction)
        _compare_trio(case, number, cotta.trio)
    compare_updates(case, outcomes)
    case.compare("out/augmented_forwards", counts)
    gradients.compare(case)


class _Augment:
    """The recorded stand-in: image times a plus b."""

    def __init__(self, case: Case) -> None:
        self.factors, self.image, self.count = case.tensor("in/draws/augment"), 0, 0

    def __call__(self, image: Tensor, number: int) -> Tensor:
        self.count += 1
        factor, offset = self.factors[self.image, number]
        return image * factor + offset


@handler("cotta_step")
def check_crops(case: Case) -> None:
    network = TinySeg(case, enlarged=False)
    load(case, network)
    if case.hyper("freeze_norm_affine"):
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.requires_grad_(False)
    cotta = CropCotta(network, _crop_settings(case), head="seg_head.")
    structure = case.json["expected_structure"]
    for group, name in zip(cotta.optimizer.param_groups, ("backbone", "head"), strict=True):
        found = names_of(group["params"], network)
        case.expect(name, sorted(found) == sorted(structure[f"optimised_{name}"]), True)
    _check_names(case, None, network)
    gradients, outcomes = Gradients(network), []
    for number, image in enumerate(images_of(case)):
        outcomes.append(cotta(image, Recorded(case, number)))
        compare_logits(case, number, outcomes[-1].prediction)
        _compare_trio(case, number, cotta.trio)
    for number, update in enumerate(compare_updates(case, outcomes)):
        assert update.target is not None
        case.compare(f"out/target_logits/{number}", update.target)
    gradients.compare(case)


def _crop_settings(case: Case) -> CropCottaSettings:
    width, height = case.hyper("crop_size")
    names = ("head_lr_factor", "momentum", "weight_decay", "steps", "episodic")
    stated = {name: case.hyper(name) for name in names}
    scales = case.hyper("scales", case.hyper("ratios", None))
    stated |= {"scales": tuple(scales)} if scales else {}
    return CropCottaSettings(
        learning_rate=case.hyper("lr"), average=case.hyper("mt"), restore=case.hyper("rst"),
        threshold=case.hyper("ap"), crop_height=height, crop_width=width, **stated,
    )  # fmt: skip


@handler("cotta_acdc_step")
def check_views(case: Case) -> None:
    network = TinySegFormer(case)
    load(case, network, "param/module.")
    settings = ViewCottaSettings(
        learning_rate=case.hyper("lr"), average=case.hyper("mt"), restore=case.hyper("rst"),
        threshold=case.hyper("threshold"),
    )  # fmt: skip
    mode = Sliding(tuple(case.hyper("slide_crop")), tuple(case.hyper("slide_stride")))
    cotta = ViewCotta(network, settings, mode)
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    _check_names(case, trained, network)
    gradients, outcomes, shares = Gradients(network), [], []
    for number in range(case.hyper("images")):
        views, size = _views(case, number), tuple(case.hyper("label_size"))
        confidence = cotta.source_confidence(views, size)
        shares.append((confidence > settings.threshold).float().mean())
        case.compare(f"out/source_confidence/{number}", confidence)
        case.compare(f"out/teacher_single_view_argmax/{number}", cotta.single_label(views, size))
        case.compare(f"out/teacher_averaged_argmax/{number}", cotta.averaged_label(views, size))
        outcomes.append(cotta(views, size, Recorded(case, number)))
        case.compare(f"out/prediction/{number}", outcomes[-1].prediction)
        _compare_trio(case, number, cotta.trio, "param/module.")
    compare_updates(case, outcomes)
    case.compare("out/share_above_threshold", torch.stack(shares))
    gradients.compare(case)


def _views(case: Case, image: int) -> list[View]:
    """Recorded views with their mirror images, if the case counts those, too."""
    prefix = f"in/view/{image}/"
    stored = [case.tensor(f"{prefix}{ratio}") for ratio in case.numbered(prefix)]
    if case.hyper("views") <= len(stored):
        return [View(view, False) for view in stored[: case.hyper("views")]]
    return plain_and_mirrored(stored)[: case.hyper("views")]


def _check_names(case: Case, optimised: list[str] | None, network: nn.Module) -> None:
    structure = case.json["expected_structure"]
    if optimised is not None:
        case.expect("optimised", sorted(optimised) == sorted(structure["optimised"]), True)
    restored = set(weights_and_biases(network))
    case.expect("restored", restored == set(structure["restored"]), True)
    case.expect("masks", restored == Recorded(case, 0).masked(), True)


def _compare_trio(case: Case, image: int, trio: Trio, start: str = "param/") -> None:
    compare_state(case, "student", image, trio.student, start)
    compare_state(case, "teacher", image, trio.teacher, start)
