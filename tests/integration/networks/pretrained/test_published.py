"""Published checkpoints: who is who in them, in full-size key lists and in tiny files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptbench import networks
from adaptbench.adaptation.style import StyleHallucination
from adaptbench.errors import WeightsError
from adaptbench.networks import hrda
from adaptbench.networks.daformer import DAFormerHead
from adaptbench.networks.mit import MiT
from adaptbench.networks.pretrained.foreign import Content
from adaptbench.networks.pretrained.published import SELF_TRAINING, Layout, Which, published_state

FILE = Path("iter_40000_relevant.pth")
CASES = Path(__file__).parents[3] / "conformance" / "cases"
_WIDTHS = (8, 16, 20, 32)


def daformer(classes: int = 5, seed: int = 0) -> networks.Segmentor:
    torch.manual_seed(seed)
    return networks.Segmentor(
        MiT(channels=_WIDTHS, depths=(1, 1, 1, 1)), DAFormerHead(_WIDTHS, classes, width=8)
    ).eval()


def two_scales(classes: int = 5) -> hrda.HRDASegmentor:
    inner, options = daformer(classes), hrda.HRDAOptions()
    config = {"type": "DAFormerHead", "in_channels": _WIDTHS, "width": 8}
    return hrda.HRDASegmentor(
        inner.backbone, hrda.hrda_head(inner.decode_head, config, classes, options), options
    )


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def checkpoint(
    student: torch.nn.Module, teacher: torch.nn.Module | None, wrapper: str = ""
) -> dict[str, Any]:
    """What a self-training run saves, as far as it is tensors."""
    state = prefixed("model.", student.state_dict())
    if teacher is not None:
        state |= prefixed("ema_model.", teacher.state_dict())
    state |= prefixed("imnet_model.", student.state_dict())
    return {"state_dict": prefixed(wrapper, state)}


def state(content: Content, network: torch.nn.Module, which: Which = "student") -> dict[str, Tensor]:
    return published_state(content, SELF_TRAINING, which, network.state_dict(), FILE)


def refused(content: Content, network: torch.nn.Module, which: Which = "student") -> str:
    with pytest.raises(WeightsError) as error:
        state(content, network, which)
    said = str(error.value)
    assert said.startswith("iter_40000_relevant.pth")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("which", ["student", "teacher"])
def test_student_and_teacher_are_told_apart(which: Which, wrapper: str) -> None:
    networks_ = {"student": daformer(seed=1), "teacher": daformer(seed=2)}
    fresh = daformer(seed=3)
    content = checkpoint(networks_["student"], networks_["teacher"], wrapper)
    fresh.load_state_dict(state(content, fresh, which), strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        logits = {name: network(image) for name, network in networks_.items()}
        assert torch.equal(fresh(image), logits[which])
    assert (logits["student"] - logits["teacher"]).abs().max() > 1e-3


def test_a_file_with_one_network_alone() -> None:
    trained, fresh = daformer(seed=1), daformer(seed=2)
    for content in (trained.state_dict(), {"state_dict": prefixed("module.", trained.state_dict())}):
        found = state(content, fresh)
        assert all(torch.equal(found[name], tensor) for name, tensor in trained.state_dict().items())


def test_a_teacher_that_is_not_there() -> None:
    student = daformer()
    said = refused(checkpoint(student, None), student, "teacher")
    assert "holds no teacher (names ema_model.*), but only model.*, imnet_model.*." in said
    assert "Perhaps --weights student" in said
    assert "but one network without a prefix" in refused(student.state_dict(), student, "teacher")


def test_a_student_that_is_not_there() -> None:
    network = daformer()
    content = {"state_dict": prefixed("ema_model.", network.state_dict())}
    assert "holds no student (names model.*), but only ema_model.*. Perhaps --weights teacher" in refused(
        content, network
    )


def test_a_family_without_teachers() -> None:
    network = daformer()
    with pytest.raises(WeightsError, match="the published files of this method hold no teacher"):
        published_state(network.state_dict(), Layout(teacher={}), "teacher", network.state_dict(), FILE)


def test_names_outside_of_all_prefixes_are_surplus() -> None:
    network = daformer()
    content = checkpoint(network, network)
    content["state_dict"]["mic.teacher.weight"] = torch.ones(2)
    assert "it has 1 that the network does not have (mic.teacher.weight)" in refused(content, network)


def test_another_kind_of_network_is_told_in_words() -> None:
    one, two = daformer(), two_scales()
    said = refused(checkpoint(two, two), one)
    assert "belongs to --method hrda, mic or hrda_dg" in said
    assert "decode_head.head.conv_seg.weight" in said
    assert "belongs to --method daformer, mic_daformer" in refused(checkpoint(one, one), two)


def test_shade_is_told_in_words() -> None:
    plain, styled = daformer(), daformer()
    styled.get_submodule("backbone").style_hallucination = StyleHallucination(8)
    assert "trained with SHADE: it belongs to --method daformer_dg" in refused(
        checkpoint(styled, None), plain
    )
    assert "--set style_hallucination=false" in refused(checkpoint(plain, None), styled)


def test_another_class_set_is_told_in_words() -> None:
    said = refused(checkpoint(daformer(classes=3), None), daformer())
    assert "decode_head.conv_seg.weight 3x8x1x1 instead of 5x8x1x1" in said
    assert "The file has 3 classes; --classes names the class set." in said


def test_diverged_weights() -> None:
    network = daformer()
    content = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    content["backbone.norm1.weight"][0] = torch.nan
    assert "holds values that are no finite numbers, in backbone.norm1.weight." in refused(content, network)


def test_a_family_with_parts_instead_of_prefixes() -> None:
    """FADA's files: a dictionary of two state dicts, each from a wrapper of its own, and a discriminator."""
    trained, fresh = daformer(seed=1), daformer(seed=2)
    layout = Layout(
        student={"feature_extractor.": "backbone.", "classifier.": "decode_head."},
        teacher={},
        others=("model_D.",),
    )
    content: Content = {
        "feature_extractor": prefixed("module.", trained.backbone.state_dict()),
        "classifier": prefixed("module.", trained.decode_head.state_dict()),
        "model_D": {"weight": torch.ones(2)},
    }
    found = published_state(content, layout, "student", fresh.state_dict(), FILE)
    assert all(torch.equal(found[name], tensor) for name, tensor in trained.state_dict().items())


FULL: Mapping[str, Callable[[], torch.nn.Module]] = {
    "daformer_mitb5": lambda: networks.build("daformer-mit_b5", 19),
    "hrda_mitb5": lambda: hrda.build_hrda("daformer-mit_b5", 19, hrda.HRDAOptions()),
}


@pytest.mark.parametrize("case", FULL)
def test_full_size_key_lists(case: str) -> None:
    """All names of the published trainings, three networks in one file, without their numbers."""
    recorded = json.loads((CASES / f"checkpoint_keys_{case}.json").read_text())
    with torch.device("meta"):
        network = FULL[case]()
    content = {
        prefix + name: torch.zeros((), dtype=getattr(torch, dtype)).expand(shape)
        for prefix in recorded["prefixes_in_order"]
        for name, shape, dtype in recorded["keys"]
    }
    assert len(content) == recorded["total_keys"]
    for which in ("student", "teacher"):
        found = state(content, network, which)
        assert list(found) == [name for name, _, _ in recorded["keys"]]
    del content["model." + recorded["keys"][0][0]]
    assert "it lacks 1 of" in refused(content, network)
