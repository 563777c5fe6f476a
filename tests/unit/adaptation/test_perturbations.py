"""Perturbations of whole images and views of their parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptbench.adaptation.cut_mix import CutDraw, LabelledBatch, cut_box, cut_mix, draw_cut
from adaptbench.adaptation.fourier_mix import fourier_mix
from adaptbench.adaptation.mask_border import border, dilate, erode
from adaptbench.data.crop_views import draw_view, grey_levels, labels_in_view, views
from adaptbench.data.image_blur import blur, draw_blur
from adaptbench.data.normalisation import CAFFE, IMAGENET, Normalisation
from adaptbench.data.recolour import Colours, Recolouring, draw_recolouring, recolour
from adaptbench.data.resized_crop import CropBox, draw_box
from adaptbench.data.transforms import normalise


def random_image(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("values", [CAFFE, IMAGENET])
def test_rounding_gives_the_image_back_and_truncation_all_but_a_level(values: Normalisation) -> None:
    original = random_image()
    image = normalise(original, values)[None]
    assert np.array_equal(grey_levels(image, values, "rounded")[0], original)
    lost = original.astype(int) - grey_levels(image, values)[0].astype(int)
    assert lost.min() >= 0
    assert lost.max() <= 1


def test_a_view_of_the_whole_square_is_the_image() -> None:
    original = random_image(32, 32)
    image = normalise(original, CAFFE)[None]
    draw = draw_view((32, 32), 0.5, np.random.default_rng(0))._replace(box=CropBox(0, 0, 32, 32))
    both = views(image, [draw._replace(colours=Recolouring())], (32, 32), CAFFE, "rounded")
    torch.testing.assert_close(both.weak, image)
    torch.testing.assert_close(both.strong, image)
    label = torch.randint(19, (1, 1, 32, 32))
    assert torch.equal(labels_in_view(label, [draw], (32, 32)), label)


def test_image_and_label_show_the_same_part() -> None:
    label = torch.randint(250, (1, 1, 48, 64))
    pixels = label[0, 0].numpy().astype(np.uint8)[..., None].repeat(3, axis=2)
    image = normalise(pixels, CAFFE)[None]
    draw = draw_view((48, 64), 0.2, np.random.default_rng(3))
    box = CropBox(8, 16, 20, 24)  # no resizing, so that both are exact
    both = views(image, [draw._replace(box=box, colours=Recolouring())], (20, 24), CAFFE, "rounded")
    shown = both.weak[0, 0] + CAFFE.mean[0]
    assert torch.equal(shown.round().long(), labels_in_view(label, [draw._replace(box=box)], (20, 24))[0, 0])


def test_boxes_fit_and_keep_to_their_range() -> None:
    generator, size = np.random.default_rng(0), (48, 96)
    shares = []
    for _ in range(300):
        box = draw_box(size, 0.2, generator)
        assert box.top >= 0 and box.left >= 0
        assert box.top + box.height <= size[0] and box.left + box.width <= size[1]
        assert 0.70 < box.width / box.height < 1.40
        shares.append(box.height * box.width / (size[0] * size[1]))
    assert min(shares) > 0.18
    assert max(shares) > 0.5


def test_a_box_that_cannot_fit_is_in_the_middle() -> None:
    box = draw_box((10, 200), 1.0, np.random.default_rng(0))
    assert box == CropBox(0, (200 - 13) // 2, 10, 13)


def test_recolouring_does_what_it_says() -> None:
    image = random_image()
    assert np.array_equal(recolour(image, Recolouring()), image)
    grey = recolour(image, Recolouring(grey=True))
    assert np.array_equal(grey[..., 0], grey[..., 1]) and np.array_equal(grey[..., 1], grey[..., 2])
    brighter = recolour(image, Recolouring(Colours(1.0, 0.1, 0, 0, 0)))
    assert brighter.mean() > image.mean() + 10
    turned = recolour(np.full((2, 2, 3), (200, 10, 10), np.uint8), Recolouring(Colours(1.0, 0.0, 60, 0, 0)))
    assert turned[0, 0, 1] > 150 > turned[0, 0, 0]  # 120 degrees on: green
    assert recolour(image, Recolouring(kernel=5)).std() < image.std()


def test_draws_are_as_frequent_as_they_should_be() -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_recolouring(generator) for _ in range(2000)]
    shares = [
        np.mean([d.colours is not None for d in drawn]),
        np.mean([d.grey for d in drawn]),
        np.mean([d.kernel is not None for d in drawn]),
    ]
    assert shares == pytest.approx([0.8, 0.2, 0.5], abs=0.04)
    assert {d.kernel for d in drawn} == {None, 3, 5}
    blurs = [draw_blur(generator) for _ in range(500)]
    assert np.mean([b is None for b in blurs]) == pytest.approx(0.5, abs=0.07)
    assert blur(random_image(), None) is not None
    assert blur(random_image(), 1.0).std() < random_image().std()


def test_fourier_mix_without_corners_is_the_image() -> None:
    image, style = torch.randn(2, 1, 3, 24, 32)
    for corners in ("left", "all", "half"):
        torch.testing.assert_close(fourier_mix(image, style, 0.0, corners), image, rtol=1e-4, atol=1e-5)


def test_fourier_mix_of_a_image_with_itself_is_the_image() -> None:
    image = torch.randn(1, 3, 24, 32)
    torch.testing.assert_close(fourier_mix(image, image, 0.2), image, rtol=1e-4, atol=1e-5)


def test_fourier_mix_takes_over_the_brightness() -> None:
    image, style = torch.rand(1, 3, 24, 32), 10 + torch.rand(1, 3, 24, 32)
    mixed = fourier_mix(image, style, 0.05, "all")
    torch.testing.assert_close(mixed.mean(dim=(2, 3)), style.mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)


def test_a_cut_box_replaces_pixels_and_labels_together() -> None:
    first = LabelledBatch(torch.zeros(2, 3, 20, 30), torch.zeros(2, 1, 20, 30, dtype=torch.int64))
    second = LabelledBatch(torch.ones(2, 3, 20, 30), torch.ones(2, 1, 20, 30, dtype=torch.int64))
    for swapped in (False, True):
        draw = CutDraw(swapped, 0.5, 10, 15)
        mixed = cut_mix(first, second, draw)
        assert torch.equal(mixed.image[:, :1].long(), mixed.label)
        rows, columns = cut_box((20, 30), draw)
        assert (mixed.label[:, :, rows, columns] == (0 if swapped else 1)).all()
        assert int(mixed.label.sum()) == 2 * (14 * 20 if not swapped else 600 - 14 * 20)


def test_drawn_boxes_lie_in_the_image() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        box = cut_box((20, 30), draw_cut((20, 30), generator))
        assert 0 <= box.rows.start <= box.rows.stop <= 20
        assert 0 <= box.columns.start <= box.columns.stop <= 30


@pytest.mark.parametrize("seed", range(5))
def test_borders_against_their_definition(seed: int) -> None:
    mask = torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(seed)) < 0.5
    for y in range(9):
        for x in range(7):
            seen = mask[0, 0, max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1]
            assert dilate(mask)[0, 0, y, x] == seen.any()
            assert erode(mask)[0, 0, y, x] == seen.all()
            assert border(mask)[0, 0, y, x] == (seen.any() and not seen.all())
