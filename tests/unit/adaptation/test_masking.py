"""Block masks, pixel by pixel."""

from __future__ import annotations

import pytest
import torch

from adaptbench.adaptation.masking import block_mask, draw_blocks, grid_size, mask_image


@pytest.mark.parametrize(
    ("size", "block", "expected"),
    [((64, 96), 32, (2, 3)), ((80, 112), 32, (2, 4)), ((70, 50), 16, (4, 3)), ((1024, 512), 64, (16, 8))],
)
def test_halves_are_rounded_to_even(size: tuple[int, int], block: int, expected: tuple[int, int]) -> None:
    assert grid_size(size, block) == expected


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (16, 21)])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7, 1.0])
def test_masks_equal_the_naive_version(size: tuple[int, int], ratio: float) -> None:
    draws = draw_blocks(2, size, 4, torch.Generator().manual_seed(0))
    mask = block_mask(draws, ratio, size)
    rows, columns = draws.shape[2:]
    assert mask.shape == (2, 1, *size)
    for sample in range(2):
        for y in range(size[0]):
            for x in range(size[1]):
                draw = draws[sample, 0, y * rows // size[0], x * columns // size[1]]
                assert bool(mask[sample, 0, y, x]) == bool(draw > ratio)


def test_a_draw_equal_to_the_ratio_hides_the_block() -> None:
    draws = torch.tensor([0.5, 0.50001]).view(1, 1, 1, 2)
    assert block_mask(draws, 0.5, (1, 2)).flatten().tolist() == [False, True]


def test_the_ratio_is_the_hidden_share() -> None:
    draws = draw_blocks(8, (256, 256), 4, torch.Generator().manual_seed(1))
    assert block_mask(draws, 0.7, (256, 256)).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_draws_are_repeatable() -> None:
    first, second = (draw_blocks(2, (8, 8), 2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_hidden_pixels_have_the_mean_colour() -> None:
    image = torch.randn(1, 3, 2, 2)
    masked = mask_image(image, torch.tensor([[[[True, False], [False, True]]]]))
    assert torch.equal(masked[..., 0, 0], image[..., 0, 0])
    assert bool((masked[..., 0, 1] == 0).all())
    assert masked.dtype == image.dtype


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        grid_size((16, 64), 64)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        grid_size((16, 64), 0)
    with pytest.raises(ValueError, match="mask_ratio"):
        block_mask(torch.zeros(1, 1, 1, 1), 1.5, (2, 2))
