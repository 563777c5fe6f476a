"""Fine-tuning on few labels: which images, and from where."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from adaptbench.contracts.method import Stage
from adaptbench.data.stream import Domain, Item
from adaptbench.errors import DataError
from adaptbench.execution.stages.data import _few
from methods.few_label_8 import FewLabel
from methods.few_label_32 import FewLabel32
from methods.source_only import SourceOnly


def tuning(method: type[FewLabel]) -> Stage:
    return method.stages(method.Settings.model_validate({}))[-1]


def drawn(stage: Stage, seed: int = 0, images: int = 200, limit: int | None = None) -> list[int]:
    place = SimpleNamespace(spec=SimpleNamespace(seed=seed, limit=limit, benchmark="tiny"))
    numbers = cast("list[Item]", list(range(images)))
    return cast("list[int]", list(_few(cast("Any", place), stage, Domain(numbers)).items))


def test_more_labels_include_fewer_of_the_same_seed() -> None:
    few, more = drawn(tuning(FewLabel)), drawn(tuning(FewLabel32))
    assert (len(few), len(more)) == (8, 32)
    assert set(few) < set(more) and few == sorted(few)


def test_every_seed_draws_its_own() -> None:
    assert len({tuple(drawn(tuning(FewLabel), seed)) for seed in range(10)}) == 10


def test_other_methods_train_on_all() -> None:
    assert len(drawn(SourceOnly.stages(SourceOnly.Settings.model_validate({}))[0])) == 200


def test_too_few_images_are_an_error_but_in_a_smoke_run() -> None:
    with pytest.raises(DataError, match="32 labelled images, and tiny has 20"):
        drawn(tuning(FewLabel32), images=20)
    assert len(drawn(tuning(FewLabel32), images=20, limit=3)) == 20


def test_it_starts_from_the_training_of_source_only() -> None:
    changed = {"iterations": 77, "learning_rate": 1e-4}
    settings = FewLabel.Settings.model_validate({**changed, "tuning_iterations": 5})
    source, tune = FewLabel.stages(settings)
    assert (source.method, source.settings) == (
        SourceOnly,
        SourceOnly.Settings.model_validate(changed),
    )
    assert (tune.start, tune.settings.iterations, tune.method.supervision) == (0, 5, "target")
