"""Block masks of masked image consistency."""

from __future__ import annotations

from adaptbench.adaptation import masking

from ..case import Case
from ..registry import handler


@handler("mic_mask")
def check(case: Case) -> None:
    for recorded in case.hyper("cases"):
        index, size = recorded["index"], (recorded["image"][2], recorded["image"][3])
        draws = case.tensor(f"in/uniform_draws{index}")
        grid = [recorded["image"][0], 1, *masking.grid_size(size, recorded["block"])]
        case.expect(f"draws_shape of mask{index}", grid, recorded["draws_shape"])
        mask = masking.block_mask(draws, recorded["ratio"], size)
        case.compare(f"out/mask{index}", mask)
        case.expect(
            f"kept_fraction of mask{index}", mask.float().mean(), recorded["kept_fraction"], atol=1e-7
        )
        if f"in/img{index}" in case.all_arrays:
            masked = masking.mask_image(case.tensor(f"in/img{index}"), mask)
            case.compare(f"out/masked_img{index}", masked)
