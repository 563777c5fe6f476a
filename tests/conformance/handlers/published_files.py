"""Names, shapes and trainability of what the authors of FADA, ADVENT and IntraDA publish, as imports read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptbench import networks
from adaptbench.adaptation.class_discriminator import ClassDiscriminator
from adaptbench.adaptation.discriminator import OutputDiscriminator
from adaptbench.networks.frozen_norm import freeze_norms
from adaptbench.networks.pretrained.adversarial import ENCODER_AND_CLASSIFIER, TWO_CLASSIFIERS
from adaptbench.networks.pretrained.published import Layout, published_state
from adaptbench.optim import optimizer

from ..case import Case
from ..registry import handler

#: Key list of an encoder -> our network, and whether its norms are frozen.
_FADA = {
    "fada_r101_feature_extractor_frozen_norm": ("deeplabv2-fada-r101", True),
    "fada_r101_feature_extractor_trainable_norm": ("deeplabv2-fada-r101", False),
    "fada_vgg16_feature_extractor": ("deeplabv2-fada-vgg16", False),
}
_CHANNELS = {"r101": 2048, "vgg16": 1024}
_ADVENT = "advent_intrada_deeplabv2_multi_"


@handler("published_state_dicts")
def check(case: Case) -> None:
    """The networks of EHTDI, in the same file, are another method's."""
    for classes in _class_counts(case, "fada_"):
        for encoder, (name, frozen) in _FADA.items():
            kind = name.rsplit("-", 1)[1]
            if {encoder, f"fada_{kind}_classifier_K{classes}"} <= case.json["networks"].keys():
                _check_fada(case, encoder, name, classes, frozen)
        for kind, channels in _CHANNELS.items():
            listed = f"fada_{kind}_discriminator_K{classes}"
            if listed in case.json["networks"]:
                _check_module(case, listed, ClassDiscriminator(channels, classes))
    for classes in _class_counts(case, "advent_fc_discriminator_"):
        _check_module(case, f"advent_fc_discriminator_K{classes}", OutputDiscriminator(classes))
    for classes in _class_counts(case, _ADVENT):
        _check_advent(case, classes)
    parts = case.json["checkpoint_structure"]["FADA"]["top_level"]
    named = {f"{part}." for stage in parts.values() for part in stage if part != "iteration"}
    case.expect("parts of a file", sorted(ENCODER_AND_CLASSIFIER.prefixes), sorted(named))


def _check_fada(case: Case, encoder: str, name: str, classes: int, frozen: bool) -> None:
    """A file of the alignment, whose parts were trained on several devices."""
    kind = name.rsplit("-", 1)[1]
    classifier, discriminator = f"fada_{kind}_classifier_K{classes}", f"fada_{kind}_discriminator_K{classes}"
    lists = {"feature_extractor": encoder, "classifier": classifier, "model_D": discriminator}
    network = _built(name, classes)
    if frozen:
        with torch.device("meta"):
            freeze_norms(network.get_submodule("backbone"))
    listed = {part: key for part, key in lists.items() if key in case.json["networks"]}
    content = {part: _tensors(_rows(case, key), "module.") for part, key in listed.items()}
    published_state(content, ENCODER_AND_CLASSIFIER, "student", network.state_dict(), Path(encoder))
    rows = [*_rows(case, encoder), *_rows(case, classifier)]
    _expect_trained(case, encoder, network, rows, ENCODER_AND_CLASSIFIER, _with_parts(rows))
    recorded = sum(case.json["networks"][key]["parameter_values"] for key in (encoder, classifier))
    ours = sum(p.numel() for p in network.parameters() if p.requires_grad)
    case.expect(f"trained values of {encoder}", ours, recorded)


def _class_counts(case: Case, start: str) -> list[int]:
    """The numbers of classes for which networks are listed whose names start so."""
    names = [name.rpartition("_K") for name in case.json["networks"] if name.startswith(start)]
    return sorted({int(number) for _, mark, number in names if mark})


def _check_advent(case: Case, classes: int) -> None:
    network, listed = _built("deeplabv2-multi-r101", classes), f"{_ADVENT}K{classes}"
    rows = _rows(case, listed)
    published_state(_tensors(rows), TWO_CLASSIFIERS, "student", network.state_dict(), Path(listed))
    ours = TWO_CLASSIFIERS.tensors(_tensors(rows), "student", Path(listed))
    case.expect("order of the names", list(ours), list(network.state_dict()))
    names = {row["key"]: row["key"] for row in rows}
    _expect_trained(case, listed, network, rows, TWO_CLASSIFIERS, names)
    for row, name in zip(rows, ours, strict=True):
        if row["requires_grad"]:
            listed = row["listed_1x"] + row["listed_10x"]
            case.expect(f"times that {name} is listed", optimizer._times_listed(name), listed)


def _check_module(case: Case, key: str, module: nn.Module) -> None:
    rows = _rows(case, key)
    found = [f"{name} {list(tensor.shape)}" for name, tensor in module.state_dict().items()]
    case.expect(key, found, [f"{row['key']} {row['shape']}" for row in rows])


def _expect_trained(
    case: Case,
    title: str,
    network: nn.Module,
    rows: list[Mapping[str, Any]],
    layout: Layout,
    names: Mapping[str, str],
) -> None:
    """The tensors that are trained are the recorded ones."""
    trained = {names[row["key"]]: torch.zeros(()) for row in rows if row["requires_grad"]}
    recorded = sorted(layout.tensors(trained, "student", Path(title)))
    ours = sorted(name for name, p in network.named_parameters() if p.requires_grad)
    case.expect(f"trained tensors of {title}", ours, recorded)


def _with_parts(rows: list[Mapping[str, Any]]) -> dict[str, str]:
    """Names with the part of the file they are in."""
    parts = {"backbone": "feature_extractor", "conv2d_list": "classifier"}
    return {row["key"]: f"{parts[row['key'].split('.')[0]]}.{row['key']}" for row in rows}


def _rows(case: Case, key: str) -> list[Mapping[str, Any]]:
    recorded = case.json["networks"][key]
    return [dict(zip(recorded["columns"], row, strict=True)) for row in recorded["rows"]]


def _tensors(rows: list[Mapping[str, Any]], prefix: str = "") -> dict[str, Tensor]:
    """Zeros that need no memory."""
    return {prefix + row["key"]: torch.zeros(()).expand(row["shape"]) for row in rows}


def _built(name: str, classes: int) -> nn.Module:
    with torch.device("meta"):
        return networks.build(name, classes)
