from __future__ import annotations

from typing import Any

import pytest

from adaptbench.data.minicity import WorldSpec, fingerprint, image_size
from adaptbench.errors import UsageError

COUNTS = {"all": 4, "heldout": 2}


@pytest.mark.parametrize(
    "dials",
    [{"gap": 1.1}, {"gap": -0.1}, {"imbalance": 2}, {"small_objects": float("nan")}, {"pixel_balance": 1.5},
     {"scale": 0}, {"scale": 2.0}, {"seed": -1}, {"seed": 0.5}, {"seed": True}, {"gap": "0.5"}],
)  # fmt: skip
def test_a_dial_outside_its_range_is_named(dials: dict[str, Any]) -> None:
    (name,) = dials
    with pytest.raises(UsageError, match=rf"minicity\.{name} must be"):
        WorldSpec(**dials)


def test_fingerprint_is_the_specification() -> None:
    known = fingerprint(WorldSpec(), "gta5", COUNTS)
    assert len(known) == 12
    assert int(known, 16) >= 0
    assert fingerprint(WorldSpec(gap=1), "gta5", dict(reversed(COUNTS.items()))) == known
    others = [
        fingerprint(WorldSpec(gap=0.5), "gta5", COUNTS),
        fingerprint(WorldSpec(seed=1), "gta5", COUNTS),
        fingerprint(WorldSpec(), "cityscapes", COUNTS),
        fingerprint(WorldSpec(), "gta5", {**COUNTS, "all": 5}),
    ]
    assert len({known, *others}) == 5


def test_a_later_dial_is_part_of_the_identity_where_it_changes_the_world() -> None:
    assert fingerprint(WorldSpec(), "gta5", COUNTS) == "108e4e4c2902"
    assert fingerprint(WorldSpec(pixel_balance=0), "gta5", COUNTS) == "108e4e4c2902"
    assert fingerprint(WorldSpec(pixel_balance=1), "gta5", COUNTS) != "108e4e4c2902"
    assert "pixel_balance" not in WorldSpec().dials()
    assert WorldSpec(**WorldSpec(pixel_balance=0.5).dials()) == WorldSpec(pixel_balance=0.5)


def test_image_size() -> None:
    assert image_size("gta5", 0.25) == (479, 263)
    assert image_size("cityscapes", 0.25) == (512, 256)
    assert image_size("gta5", 1.0) == (1914, 1052)
    with pytest.raises(UsageError, match="cityscapes"):
        image_size("cityscape", 0.25)
