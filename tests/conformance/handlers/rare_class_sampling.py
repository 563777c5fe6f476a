"""Rare class sampling: probabilities, eligible files, and scripted draws and crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np

from adaptbench.data import rare_class_sampling as rcs

from ..case import Array, Case
from ..registry import handler


class ScriptedChoice:
    """Stands in for a generator: returns recorded positions and checks what was asked for."""

    def __init__(self, draws: Sequence[Mapping[str, Any]], positions: Sequence[int]) -> None:
        self._draws = iter(zip(draws, positions, strict=True))

    def choice(self, population: int, p: Array | None = None) -> int:
        draw, position = next(self._draws)
        asked, recorded = (population, p is not None), (draw["population"], draw["with_probabilities"])
        assert asked == recorded, f"(population, with probabilities): expected {recorded}, got {asked}"
        return position

    def as_generator(self) -> np.random.Generator:
        return cast("np.random.Generator", self)


@handler("rcs")
def check(case: Case) -> None:
    stats = case.json["inputs"]["sample_class_stats"]
    names = [PurePosixPath(entry["file"]).name for entry in stats]
    files = [{int(c): n for c, n in entry.items() if c != "file"} for entry in stats]
    for temperature in case.hyper("temperatures"):
        classes, probabilities = rcs.class_probabilities(rcs.class_totals(files), temperature)
        case.compare(f"out/T{temperature}/classes", classes)
        case.compare(f"out/T{temperature}/probabilities", probabilities)
    sampler = rcs.rare_class_sampler(files, case.hyper("temperatures")[0], case.hyper("min_pixels"))
    for class_id, eligible in case.json["outputs"]["eligible_files_per_class"].items():
        found = [names[position] for position in sampler.files[int(class_id)]]
        case.expect(f"outputs/eligible_files_per_class/{class_id}", found, eligible)
    for name, script in case.json["outputs"]["scripted"].items():
        if "draws" in script:
            _check_draws(case, f"outputs/scripted/{name}", script, sampler, names)
        _check_crops(case, f"outputs/scripted/{name}", script)


def _check_draws(
    case: Case, name: str, script: Mapping[str, Any], sampler: rcs.RareClassSampler, names: Sequence[str]
) -> None:
    # The third draw is the target image, which the stream draws by itself.
    class_draw, file_draw = script["draws"][:2]
    class_position = sampler.classes.classes.tolist().index(class_draw["value"])
    files = [names[position] for position in sampler.files[class_draw["value"]]]
    positions = [class_position, files.index(file_draw["value"])]
    drawn = sampler.draw(ScriptedChoice(script["draws"][:2], positions).as_generator())
    case.expect(f"{name}/class", drawn.class_id, class_draw["value"])
    case.expect(f"{name}/source_index", drawn.file, script["source_index"])


def _check_crops(case: Case, name: str, script: Mapping[str, Any]) -> None:
    pixels = script.get("pixels_of_drawn_class_in_successive_crops", [0])
    crops = iter(range(len(pixels)))

    def draw() -> int:
        crop = next(crops, None)
        assert crop is not None, f"{name}: more than {len(pixels)} crops were drawn"
        return crop

    accepted = rcs.accept_crop(
        draw=draw,
        count=lambda crop: int(pixels[crop]),
        min_pixels=case.hyper("min_pixels"),
        min_crop_ratio=script["min_crop_ratio"],
    )
    case.expect(f"{name}/source_loads", accepted.drawn, script["source_loads"])
    if "index_of_used_crop" in script:
        case.expect(f"{name}/index_of_used_crop", accepted.crop, script["index_of_used_crop"])
        case.expect(f"{name}/pixels_in_used_crop", pixels[accepted.crop], script["pixels_in_used_crop"])
