"""Networks by name: ours, timm's encoders, and mmsegmentation's config files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adaptbench import networks
from adaptbench.errors import UsageError

CONFIG = """
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(0, 1, 2, 3), norm_cfg=norm_cfg,
                  init_cfg=dict(type='Pretrained', checkpoint='https://nowhere.invalid/weights.pth')),
    decode_head=dict(type='FCNHead', in_channels=512, in_index=3, channels=16, num_convs=1, num_classes=150,
                     norm_cfg=norm_cfg, align_corners=False,
                     loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(type='NoSuchHead'))
"""


def logits_of(name: str, classes: int) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = networks.build(name, classes).eval()(torch.randn(1, 3, 64, 96))
    return logits


def test_a_timm_encoder_that_can_be_dilated() -> None:
    assert logits_of("timm:resnet18", 11).shape == (1, 11, 8, 12)
    spec = networks.spec("timm:resnet18")
    assert spec.start is not None
    assert (spec.name, spec.start.data) == ("timm:resnet18", "timm a1_in1k")


def test_a_timm_encoder_that_cannot() -> None:
    assert logits_of("timm:mobilevit_xxs", 5).shape[:2] == (1, 5)


def test_an_unknown_timm_model_is_one_short_paragraph() -> None:
    with pytest.raises(UsageError, match=r"Unknown timm model 'resnet1x'. Did you mean 'resnet18'") as error:
        networks.spec("timm:resnet1x")
    assert len(str(error.value)) < 300


def test_a_config_file(tmp_path: Path) -> None:
    file = tmp_path / "fcn.py"
    file.write_text(CONFIG)
    assert logits_of(str(file), 7).shape == (1, 7, 2, 3)


@pytest.mark.parametrize(
    "text",
    [
        "model = 3\n",
        "x = 1\n",
        "model = dict(backbone=dict(type='ResNet'))\n",
        "model = (\n",
        "model = undefined\n",
    ],
)
def test_a_config_file_that_is_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(UsageError, match=rf"{file} is no mmsegmentation config with model.backbone"):
        networks.spec(str(file))


def test_a_config_file_that_is_missing() -> None:
    with pytest.raises(UsageError, match=r"nowhere\.py is no mmsegmentation config"):
        networks.spec("nowhere.py")


def test_parts_that_do_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(CONFIG.replace("FCNHead", "NoSuchHead"))
    with pytest.raises(UsageError, match=rf"The network '{file}' cannot be built: .*NoSuchHead"):
        networks.build(str(file), 5)


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"Unknown network 'deeplabv2-r100'. Did you mean 'deeplabv2-r101'"):
        networks.spec("deeplabv2-r100")


def test_equal_seeds_give_equal_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(networks.build("deeplabv2-mini", 5).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
