"""Where detail crops are drawn, and their boxes on the grids of logits."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from adaptbench.errors import UsageError
from adaptbench.networks import detail_crop

from ..case import Case
from ..registry import handler


class LegacyGenerator:
    """Stands in for a generator: draws what numpy's legacy generator draws, and counts the draws."""

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed)
        self.draws = 0

    def integers(self, low: int, high: int) -> int:
        self.draws += 1
        return int(self._state.randint(low, high))

    def as_generator(self) -> np.random.Generator:
        return cast("np.random.Generator", self)


@handler("hrda_crop_box")
def check(case: Case) -> None:
    for recorded in case.hyper("cases"):
        if recorded["result"] == "ok":
            _check_boxes(case, recorded)
        else:
            case.expect(f"no offset in case {recorded['index']}", _raises(recorded), True)
    for recorded in case.facts["rescaling"]:
        box = detail_crop.CropBox(*recorded["box"]).divided(recorded["divisor"])
        case.expect(f"facts/rescaling/{recorded['box']}", list(box), recorded["result"])


def _check_boxes(case: Case, recorded: dict[str, Any]) -> None:
    name = f"out/first_boxes_y1_y2_x1_x2_{recorded['index']}"
    generator = LegacyGenerator(recorded["numpy_legacy_seed"])
    boxes = [_draw(recorded, generator) for _ in range(len(case.all_arrays[name]))]
    case.compare(name, boxes)
    whole = recorded["image"] == recorded["crop"]
    if whole:
        case.expect(
            "facts/full_size_draws_nothing", generator.draws == 0, case.facts["full_size_draws_nothing"]
        )
        return
    divisor = recorded["divisible"]
    for side in (0, 1):
        margin = recorded["image"][side] - recorded["crop"][side]
        count = detail_crop.number_of_offsets(margin, divisor)
        case.expect(f"distinct offsets {recorded['index']}", count, recorded["distinct_offsets"][side])
        largest = recorded["largest_offsets"][side]
        case.expect(f"largest offset {recorded['index']}", (count - 1) * divisor, largest)


def _draw(recorded: dict[str, Any], generator: LegacyGenerator) -> detail_crop.CropBox:
    image, crop = tuple(recorded["image"]), tuple(recorded["crop"])
    return detail_crop.draw_crop_box(image, crop, recorded["divisible"], generator.as_generator())


def _raises(recorded: dict[str, Any]) -> bool:
    try:
        _draw(recorded, LegacyGenerator(0))
    except UsageError:
        return True
    return False
