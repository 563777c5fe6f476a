from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adaptbench.errors import UsageError
from adaptbench.networks import hrda
from adaptbench.networks.detail_crop import CropBox, draw_crop_box
from adaptbench.networks.segmentor import NetworkSpec

CLASSES = 5


def build(network: str = "daformer-mini", **changes: Any) -> hrda.HRDASegmentor:
    torch.manual_seed(0)
    return hrda.build_hrda(network, CLASSES, hrda.HRDAOptions(**{"detail_crop": (32, 32), **changes}))


@given(
    st.integers(8, 300), st.integers(8, 300), st.sampled_from([1, 2, 8]), st.booleans(), st.integers(0, 99)
)
def test_boxes_lie_inside_at_multiples_of_the_divisor(
    height: int, width: int, divisor: int, reach_edge: bool, seed: int
) -> None:
    crop = (height // 2, width // 2)
    try:
        box = draw_crop_box((height, width), crop, divisor, np.random.default_rng(seed), reach_edge)
    except UsageError:
        assert not reach_edge
        assert min(height - crop[0], width - crop[1]) < divisor - 1
        return
    assert box.size == crop
    assert 0 <= box.top <= box.bottom <= height
    assert 0 <= box.left <= box.right <= width
    assert box.top % divisor == box.left % divisor == 0


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(UsageError, match="no place"):
        draw_crop_box((64, 64), (128, 32), 8, np.random.default_rng(0), reach_edge=True)


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("daformer-mini", {}),
        ("daformer-mini", {"attention": "single", "detail_windows": "whole"}),
        ("daformer-mini", {"attention": "fixed", "detail_windows": "adjacent"}),
        ("daformer-mini", {"context_scale": 0.25}),
        ("deeplabv2-mini", {}),
        ("deeplabv2-mini", {"detail_scale": 0.5}),
    ],
    ids=str,
)
def test_training_and_inference_give_logits_of_the_detail_image(
    network: str, changes: dict[str, Any]
) -> None:
    segmentor = build(network, **changes)
    image = torch.randn(2, 3, 128, 192)
    box = segmentor.draw_crop_box((128, 192), np.random.default_rng(0))
    output = segmentor.forward_train(image, box)
    stride, scale = segmentor.decode_head.output_stride, changes.get("detail_scale", 1)
    size = (int(128 * scale) // stride, int(192 * scale) // stride)
    assert output.fused.shape == (2, CLASSES, *size)
    assert output.hr.shape[-2:] == box.divided(stride).size
    assert output.crop_box.size == (32 / scale, 32 / scale)
    assert len(output.lr_features) == len(output.hr_features) == 4
    with torch.no_grad():
        assert segmentor(image).shape == (2, CLASSES, *size)


def test_outside_of_the_crop_the_context_alone_decides() -> None:
    segmentor = build().eval()
    image = torch.randn(1, 3, 64, 64)
    box = CropBox(32, 64, 32, 64)
    with torch.no_grad():
        output = segmentor.forward_train(image, box)
        lr = segmentor.decode_head.head(output.lr_features)
        alone = hrda.resize_logits(lr, (16, 16))
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[7:, 7:] = True  # the attention bleeds by one position
    torch.testing.assert_close(output.fused[..., ~inside], alone[..., ~inside])
    assert not torch.allclose(output.fused[..., inside], alone[..., inside])


def test_full_crop_and_full_window_agree_in_evaluation_mode() -> None:
    segmentor = build(detail_crop=(64, 64)).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        trained = segmentor.forward_train(image, CropBox(0, 64, 0, 64)).fused
        torch.testing.assert_close(segmentor(image), trained)


def test_windows_equal_a_naive_average() -> None:
    segmentor = build().eval()
    image = torch.randn(2, 3, 64, 80)
    with torch.no_grad():
        context = segmentor.backbone(segmentor.context_image(image))
        total, count = torch.zeros(2, CLASSES, 16, 20), torch.zeros(16, 20)
        for top in (0, 16, 32):
            for left in (0, 16, 32, 48):
                crop = image[:, :, top : top + 32, left : left + 32]
                logits = segmentor.decode_head.head(segmentor.backbone(crop))
                total[:, :, top // 4 : top // 4 + 8, left // 4 : left // 4 + 8] += logits
                count[top // 4 : top // 4 + 8, left // 4 : left // 4 + 8] += 1
        lr = segmentor.decode_head.head(context)
        attention = segmentor.decode_head.scale_attention(context).sigmoid()  # type: ignore[misc]
        expected = hrda.fuse((1 - attention) * lr, attention, total / count)
        torch.testing.assert_close(segmentor(image), expected)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with torch.no_grad(), pytest.raises(ValueError, match="multiples of 8"):
        build().eval()(torch.zeros(1, 3, 64, 70))


@pytest.mark.parametrize(("hr_weight", "lr_weight"), [(0.1, 0.0), (0.2, 0.3), (0.0, 0.0)])
def test_losses_are_the_weighted_cross_entropies(hr_weight: float, lr_weight: float) -> None:
    segmentor = build()
    box = CropBox(8, 40, 16, 48)
    output = segmentor.forward_train(torch.randn(2, 3, 64, 64), box)
    label = torch.randint(0, CLASSES, (2, 1, 64, 64))
    weight = torch.rand(2, 64, 64)
    losses = hrda.hrda_loss(output, label, weight, hr_weight=hr_weight, lr_weight=lr_weight, prefix="mix.")

    def entropy(logits: Tensor, rows: slice, columns: slice) -> Tensor:
        part = label[:, 0, rows, columns]
        upsampled = hrda.resize_logits(logits, (part.shape[1], part.shape[2]))
        chosen = upsampled.log_softmax(1).gather(1, part[:, None])[:, 0]
        return -(chosen * weight[:, rows, columns]).mean()

    everything = slice(0, 64), slice(0, 64)
    expected = {"mix.loss_seg": (1 - hr_weight - lr_weight) * entropy(output.fused, *everything)}
    if hr_weight:
        expected["mix.hr.loss_seg"] = hr_weight * entropy(output.hr, slice(8, 40), slice(16, 48))
    if lr_weight:
        expected["mix.lr.loss_seg"] = lr_weight * entropy(output.lr, *everything)
    assert {name for name in losses if "loss" in name} == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)


def test_attention_decoder_has_a_plain_fusion() -> None:
    config = {"type": "DAFormerHead", "in_channels": (4,), "fusion": "aspp", "width": 8}
    assert hrda.attention_config(config, 6) == {
        **config,
        "fusion": "conv",
        "width": 6,
        "embedding_width": None,
    }
    isa = {**config, "fusion": "isa"}
    assert hrda.attention_config(isa, None) == isa


def test_blurred_detail_is_the_enlarged_context() -> None:
    segmentor = build(blur_detail=True)
    image = torch.randn(1, 3, 64, 64)
    expected = hrda.resize_logits(segmentor.context_image(image), (64, 64))
    assert torch.equal(segmentor.detail_image(image), expected)


def test_decoders_of_unknown_stride_are_refused() -> None:
    spec = NetworkSpec("x", {}, {"type": "FCNHead"})
    with pytest.raises(UsageError, match="FCNHead"):
        hrda.hrda_head(torch.nn.Identity(), spec.decode_head, CLASSES, hrda.HRDAOptions())


def test_scales_are_checked() -> None:
    with pytest.raises(UsageError, match="context_scale"):
        hrda.HRDAOptions(context_scale=1.0, detail_scale=0.5)
