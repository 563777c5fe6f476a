from __future__ import annotations

import pytest

from adaptbench.data.minicity.domains import LOOKS, look_of
from adaptbench.data.minicity.looks import blend
from adaptbench.data.minicity.objects import LABEL
from adaptbench.errors import UsageError


@pytest.mark.parametrize("dataset", LOOKS)
def test_without_a_gap_every_domain_is_the_source(dataset: str) -> None:
    assert look_of(dataset, 0.0) == LOOKS["gta5"]
    assert look_of(dataset, 1.0) == LOOKS[dataset]


def test_half_a_gap_lies_half_way() -> None:
    half, source, target = look_of("cityscapes", 0.5), LOOKS["gta5"], LOOKS["cityscapes"]
    assert half.lens.vignette == pytest.approx((source.lens.vignette + target.lens.vignette) / 2)
    red = [look.paints["road"].palette[0][0] for look in (source, half, target)]
    assert red[1] == pytest.approx((red[0] + red[2]) / 2)
    assert half.layout.often.keys() == source.layout.often.keys()


def test_looks_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        blend((1.0, 2.0), (1.0,), 0.5)
    with pytest.raises(UsageError, match="gta5"):
        look_of("gta", 1.0)


@pytest.mark.parametrize("dataset", LOOKS)
def test_looks_are_physical(dataset: str) -> None:
    look = LOOKS[dataset]
    assert all(
        0 <= channel <= 255 for paint in look.paints.values() for rgb in paint.palette for channel in rgb
    )
    ranges = [value for part in (look.layout, look.lens) for value in vars(part).values()]
    assert all(low <= high for low, high in (r for r in ranges if isinstance(r, tuple) and len(r) == 2))
    assert len(set(LABEL.values())) == len(LABEL)
