from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from adaptbench.errors import RunStateError, UsageError
from adaptbench.networks.inference import (
    Averaged,
    Mode,
    Sliding,
    Whole,
    predict,
    probability,
    resize,
    resized_argmax,
    segment,
    windows,
)


class Coarse(nn.Module):
    """Logits at a quarter of the input size, that depend on where the window lies."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 7, stride=4, padding=3)
        self.calls: list[tuple[int, ...]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.calls.append(tuple(image.shape))
        out: Tensor = self.layer(image)
        return out


class Fixed(nn.Module):
    """Gives the same logits whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, image: Tensor) -> Tensor:
        return self.logits


@pytest.fixture
def network() -> Coarse:
    torch.manual_seed(0)
    return Coarse().eval()


def random_image(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def naive_windows(length: int, crop: int, stride: int) -> list[tuple[int, int]]:
    """Start and stop of each window along one axis: step until the border is reached, then move back."""
    found = []
    start = 0
    while True:
        stop = min(start + crop, length)
        found.append((max(stop - crop, 0), stop))
        if stop == length:
            return found
        start += stride


def naive_slide(network: nn.Module, image: Tensor, crop: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Every pixel's mean over all windows that hold it, with padded full-size maps."""
    height, width = image.shape[-2:]
    maps, held = [], []
    for top, bottom in naive_windows(height, crop[0], stride[0]):
        for left, right in naive_windows(width, crop[1], stride[1]):
            logits = network(image[:, :, top:bottom, left:right])
            size = (bottom - top, right - left)
            logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
            border = (left, width - right, top, height - bottom)
            maps.append(functional.pad(logits, border))
            held.append(functional.pad(torch.ones(1, 1, *size), border))
    return torch.stack(maps).sum(0) / torch.stack(held).sum(0)


@given(st.integers(1, 200), st.integers(1, 80), st.integers(1, 80))
def test_windows_cover_everything_and_stay_inside(length: int, crop: int, stride: int) -> None:
    stride = min(stride, crop)
    found = [(rows.start, rows.stop) for rows, _ in windows((length, 1), (crop, 1), (stride, 1))]
    assert found == naive_windows(length, crop, stride)
    assert set().union(*(range(*window) for window in found)) == set(range(length))
    assert all(stop - start == min(crop, length) for start, stop in found)


@pytest.mark.parametrize("size", [(32, 64), (33, 61), (16, 16)])
def test_whole_resizes_to_the_image(network: Coarse, size: tuple[int, int]) -> None:
    image = random_image(*size)
    expected = functional.interpolate(network(image), size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(predict(network, image, Whole()), expected, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(32, 64), (40, 50), (17, 70), (12, 12)])
@pytest.mark.parametrize(("crop", "stride"), [((16, 16), (8, 8)), ((16, 24), (11, 24)), ((20, 20), (20, 7))])
@pytest.mark.parametrize("batch", [1, 3])
def test_sliding_averages_the_windows(
    network: Coarse, size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int], batch: int
) -> None:
    image = random_image(*size)
    found = predict(network, image, Sliding(crop, stride, batch))
    assert max(shape[0] for shape in network.calls) <= batch
    torch.testing.assert_close(found, naive_slide(network, image, crop, stride), rtol=1e-5, atol=1e-6)


def test_one_window_is_the_whole_image(network: Coarse) -> None:
    image = random_image(24, 40)
    slid = predict(network, image, Sliding((32, 64), (16, 16)))
    torch.testing.assert_close(slid, predict(network, image, Whole()), rtol=0, atol=0)


def test_no_gradients_are_kept(network: Coarse) -> None:
    assert not predict(network, random_image(24, 40), Whole()).requires_grad
    assert not predict(network, random_image(24, 40), Sliding((16, 16), (8, 8))).requires_grad


@pytest.mark.parametrize("mode", [Whole(), Sliding((16, 16), (8, 12), batch=2)])
@pytest.mark.parametrize("size", [(24, 40), (48, 80), (15, 33)])
def test_segment_is_the_argmax_of_predict_at_label_size(
    network: Coarse, mode: Whole | Sliding, size: tuple[int, int]
) -> None:
    image = random_image(24, 40)
    found = segment(network, image, mode, size)
    assert found.dtype == torch.uint8
    torch.testing.assert_close(found.long(), resize(predict(network, image, mode), size).argmax(1)[0])


def test_on_a_tie_the_lower_id_wins() -> None:
    logits = torch.tensor([1.0, 3.0, 3.0, 2.0]).view(1, 4, 1, 1)
    assert resized_argmax(logits).item() == 1
    assert resized_argmax(logits, (2, 2)).tolist() == [[[1, 1], [1, 1]]]


def test_the_network_output_is_not_changed(network: Coarse) -> None:
    logits = torch.randn(1, 5, 24, 40)
    before = logits.clone()
    segment(Fixed(logits), random_image(24, 40), Whole(), (24, 40))
    assert torch.equal(logits, before)


@pytest.mark.parametrize("settings", [((8, 8), (0, 8), 1), ((8, 8), (8, 9), 1), ((8, 8), (8, 8), 0)])
def test_windows_that_leave_gaps_are_refused(settings: tuple[tuple[int, int], tuple[int, int], int]) -> None:
    with pytest.raises(UsageError, match="0 < stride <= crop"):
        Sliding(*settings)


def test_whole_images_of_sides_the_network_does_not_take() -> None:
    """Two by two windows of the largest sides it takes, averaged where they overlap."""
    network, image = Coarse(), torch.randn(1, 3, 37, 50)
    logits = predict(network, image, Whole(multiple=8))
    assert {call[-2:] for call in network.calls} == {(32, 48)} and len(network.calls) == 4
    assert torch.equal(logits, predict(network, image, Sliding((32, 48), (32, 48))))
    network.calls.clear()
    fitting = torch.randn(1, 3, 32, 48)
    assert torch.equal(predict(network, fitting, Whole(multiple=8)), predict(network, fitting, Whole()))
    assert network.calls == [(1, 3, 32, 48)] * 2


def test_aligned_corners_and_a_single_resize() -> None:
    network, image, size = Coarse(), torch.randn(1, 3, 32, 48), (70, 90)
    with torch.no_grad():
        resized = functional.interpolate(network(image), size, mode="bilinear", align_corners=True)
    assert torch.equal(
        segment(network, image, Whole(aligned=True), size), resized.argmax(1)[0].to(torch.uint8)
    )
    assert not torch.equal(segment(network, image, Whole(), size), resized.argmax(1)[0].to(torch.uint8))


@pytest.mark.parametrize(
    "mode", [Whole(), Whole(aligned=True), Sliding((16, 16), (8, 8)), Averaged((0.5, 1.0))]
)
def test_the_likeliest_class_is_the_predicted_one(network: Coarse, mode: Mode) -> None:
    image, size = random_image(24, 40), (48, 80)
    found = probability(network, image, mode, size)
    assert torch.allclose(found.sum(dim=0), torch.ones(size), atol=1e-5)
    assert torch.equal(found.argmax(dim=0).to(torch.uint8), segment(network, image, mode, size))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("mode", [Whole(), Sliding((4, 4), (4, 4)), Averaged((1.0,))])
def test_scores_that_are_no_numbers_have_no_most_likely_class(mode: Mode, value: float) -> None:
    logits = torch.zeros(1, 2, 4, 4)
    logits[0, 1, 2, 3] = value
    with pytest.raises(RunStateError, match="scores that are no finite numbers"):
        segment(Fixed(logits), torch.zeros(1, 3, 4, 4), mode, (4, 4))
    logits[0, 1, 2, 3] = -torch.inf  # is the probability 0
    assert segment(Fixed(logits), torch.zeros(1, 3, 4, 4), mode, (4, 4)).sum() == 0


def test_windows_may_average_probabilities(network: Coarse) -> None:
    image, mode = random_image(16, 24), Sliding((16, 16), (8, 8), probabilities=True)
    found = probability(network, image, mode, (16, 24))
    parts = [network(image[..., left : left + 16]) for left in (0, 8)]
    left, right = (resize(part, (16, 16)).softmax(dim=1)[0] for part in parts)
    torch.testing.assert_close(found[..., :8], left[..., :8])
    torch.testing.assert_close(found[..., 8:16], (left[..., 8:] + right[..., :8]) / 2)
    torch.testing.assert_close(found[..., 16:], right[..., 8:])
    assert torch.equal(segment(network, image, mode, (16, 24)), found.argmax(0).to(torch.uint8))


def test_a_class_that_no_window_expects_has_a_finite_logit() -> None:
    logits = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    found = predict(Fixed(logits), random_image(4, 4), Sliding((4, 4), (4, 4), probabilities=True))
    assert bool(found.isfinite().all())
