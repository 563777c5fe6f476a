"""Class choice and class mixing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from adaptbench.adaptation import class_mix

from ..case import Array, Case
from ..registry import handler


class ScriptedChoice:
    """Stands in for a generator: returns recorded indices and checks what was asked for."""

    def __init__(self, indices: Sequence[Array], number_of_candidates: int) -> None:
        self._indices = iter(indices)
        self._number_of_candidates = number_of_candidates

    def choice(self, candidates: int, size: int, replace: bool) -> Array:
        indices = next(self._indices)
        asked, recorded = (candidates, size, replace), (self._number_of_candidates, len(indices), False)
        assert asked == recorded, f"(candidates, drawn, replace): expected {recorded}, got {asked}"
        return indices

    def as_generator(self) -> np.random.Generator:
        return cast("np.random.Generator", self)


@handler("class_mix")
def check(case: Case) -> None:
    label = case.tensor("in/label")
    values = case.all_arrays["in/classes_sorted_unique_of_whole_batch"]
    case.expect("in/classes_sorted_unique_of_whole_batch", class_mix.candidate_classes(label), values)
    _check_number_of_classes(case)

    first = [case.all_arrays[f"in/chosen_indices_{i}"] for i in case.numbered("in/chosen_indices_")]
    classes = class_mix.draw_classes(label, ScriptedChoice(first, len(values)).as_generator())
    for index, ids in enumerate(classes):
        case.expect(f"in/chosen_class_ids_{index}", ids, case.all_arrays[f"in/chosen_class_ids_{index}"])
    mixed = _mix(case, label, classes)
    case.compare("out/mask", mixed.mask)
    case.compare("out/mixed_img", mixed.image)
    case.compare("out/mixed_label", mixed.label)
    case.compare("out/mixed_weight", mixed.weight)

    # The second draw puts a choice in front of the recorded ones, so the other samples move up by one.
    second = [case.all_arrays["in/second_draw_indices_sample0"], *first[:-1]]
    classes = class_mix.draw_classes(label, ScriptedChoice(second, len(values)).as_generator())
    mixed = _mix(case, label, classes)
    case.compare("out/second_draw/mask", mixed.mask)
    case.compare("out/second_draw/mixed_label_sample0", mixed.label[:1])


def _mix(case: Case, label: torch.Tensor, classes: Sequence[Array]) -> class_mix.Mixed:
    return class_mix.class_mix(
        source_image=case.tensor("in/source_img"),
        source_label=label,
        target_image=case.tensor("in/target_img"),
        pseudo_label=case.tensor("in/pseudo_label"),
        pseudo_weight=case.tensor("in/pseudo_weight"),
        classes=classes,
    )


def _check_number_of_classes(case: Case) -> None:
    table: dict[str, Any] = case.facts.get("number_of_chosen_classes_for_n_unique_values", {})
    for candidates, expected in table.items():
        label = torch.arange(int(candidates)).view(1, 1, 1, -1)
        drawn = class_mix.draw_classes(label, np.random.default_rng(0))
        case.expect(f"facts/number_of_chosen_classes/{candidates}", [len(ids) for ids in drawn], [expected])
