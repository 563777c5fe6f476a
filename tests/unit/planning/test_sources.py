"""Official data is complete or an error that says what lacks; generated data is said aloud."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.profiles import Provenance, profile
from adaptbench.data.minicity import WorldSpec
from adaptbench.errors import DataError, PluginError, UsageError
from adaptbench.planning import sources
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import DataSource

REGISTRY = plugins.discover()
GTA5_TO_CITYSCAPES: type[Benchmark] = plugins.load(REGISTRY.find("benchmark", "gta5_to_cityscapes"))
TO_CAMVID: type[Benchmark] = plugins.load(REGISTRY.find("benchmark", "minicity_to_camvid"))


def locate(
    benchmark: type[Benchmark], provenance: Provenance, dials: dict[str, Any] | None = None, **request: Any
) -> dict[str, DataSource]:
    search = sources.Search(profile("mini"), REGISTRY, Request(**request), dials or {})
    return search.locate(benchmark, provenance)


def test_official_folders_are_found_under_any_of_their_names(official: Path) -> None:
    (official / "gta5").rename(official / "GTA")
    found = locate(GTA5_TO_CITYSCAPES, "official", data_root=official)
    assert {name: source.root for name, source in found.items()} == {
        "gta5": str(official / "GTA"),
        "cityscapes": str(official / "cityscapes"),
    }
    assert {source.provenance for source in found.values()} == {"official"}


def test_a_path_beats_the_root(official: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(official / "gta5", tmp_path / "mine"))
    found = locate(GTA5_TO_CITYSCAPES, "official", data_root=official, data_paths={"gta5": mine})
    assert found["gta5"].root == str(mine)


def test_missing_labels_are_counted_with_examples(official: Path) -> None:
    labels = sorted((official / "gta5" / "labels").iterdir())
    for label in labels[1:]:
        label.unlink()
    with pytest.raises(DataError) as error:
        locate(GTA5_TO_CITYSCAPES, "official", data_root=official)
    message = str(error.value)
    assert message.startswith(
        f"gta5/all: 3 of 4 images under {official / 'gta5'} have no label file, for example"
    )
    assert all(str(label) in message for label in labels[1:])
    assert str(labels[0]) not in message


def test_evaluation_labels_are_needed(official: Path) -> None:
    shutil.rmtree(official / "cityscapes" / "gtFine" / "val")
    with pytest.raises(DataError, match=r"cityscapes/val: 3 of 3 images under .* have no label file"):
        locate(GTA5_TO_CITYSCAPES, "official", data_root=official)


def test_target_training_labels_are_neither_checked_nor_counted(official: Path) -> None:
    before = locate(GTA5_TO_CITYSCAPES, "official", data_root=official)
    shutil.rmtree(official / "cityscapes" / "gtFine" / "train")
    assert locate(GTA5_TO_CITYSCAPES, "official", data_root=official) == before


def test_an_empty_folder_is_no_dataset(official: Path) -> None:
    shutil.rmtree(official / "gta5" / "images")
    with pytest.raises(DataError, match=r"gta5: no image matches images/\*.png under .*official layout"):
        locate(GTA5_TO_CITYSCAPES, "official", data_root=official)


def test_generated_worlds_are_planned_and_not_yet_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path))
    found = locate(GTA5_TO_CITYSCAPES, "generated", {"gap": 0.5})
    images = profile("mini").generated
    assert found["gta5"].counts == {"all": images["gta5/all"]}
    assert found["cityscapes"].dials == {
        "seed": 0,
        "gap": 0.5,
        "imbalance": 1.0,
        "small_objects": 1.0,
        "scale": 0.25,
    }
    assert not list(tmp_path.iterdir())
    other = locate(GTA5_TO_CITYSCAPES, "generated")
    assert found["cityscapes"].identity() != other["cityscapes"].identity()
    even = locate(GTA5_TO_CITYSCAPES, "generated", {"pixel_balance": 1.0})
    assert even["gta5"].dials == {**other["gta5"].dials, "pixel_balance": 1.0}
    assert even["gta5"].version != other["gta5"].version


def test_a_benchmark_pins_where_its_data_comes_from() -> None:
    with pytest.raises(DataError, match="camvid: no data folder given"):
        locate(TO_CAMVID, "generated")
    with pytest.raises(DataError, match="camvid: no data folder given"):
        locate(TO_CAMVID, "official")


def test_what_minicity_cannot_generate() -> None:
    class ToTest(TO_CAMVID):  # type: ignore[misc, valid-type]
        provenance: ClassVar[dict[str, Provenance]] = {}

    with pytest.raises(
        UsageError, match=r"MiniCity does not generate camvid/train, camvid/val \(profile mini\)"
    ):
        locate(ToTest, "generated")


@pytest.mark.parametrize(
    ("count", "limit", "used"), [(240, None, 240), (240, 1, 4), (240, 5, 10), (3, 5, 3), (240, 1000, 240)]
)
def test_smoke_runs_use_few_images(count: int, limit: int | None, used: int) -> None:
    assert sources.cap(count, limit) == used
    assert sources.scored_cap(count, limit) == min(count, limit or count)


@pytest.mark.parametrize(
    ("dial", "value", "message"),
    [
        ("gapp", 0, "Unknown dial of minicity 'gapp'. Did you mean 'gap'"),
        ("gap", "x", "minicity.gap must be a number from 0 to 1, found 'x'"),
        ("gap", True, "must be a number"),
        ("pixel_balance", 2, "minicity.pixel_balance must be a number from 0 to 1, found 2"),
        ("seed", -1, "whole number >= 0"),
    ],
)
def test_dials_are_checked(dial: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sources.check_dial(dial, value)


def test_a_dial_has_one_form() -> None:
    assert sources.check_dial("gap", 1) == 1.0
    assert isinstance(sources.check_dial("gap", 1), float)
    assert isinstance(sources.check_dial("seed", 3), int)


def test_only_what_lacks_is_generated_and_announced_once(
    small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path))
    made: list[tuple[str, object]] = []
    monkeypatch.setattr(
        "adaptbench.data.minicity.ensure", lambda spec, name, counts, progress: made.append((name, spec))
    )
    wanted = DataSource(
        root=str(tmp_path / "new"),
        provenance="generated",
        version="v",
        dials={"scale": 0.06},
        counts={"all": 2, "heldout": 1},
    )
    there = DataSource(root=str(small_world / "gta5"), provenance="generated", version="v")
    official = DataSource(root=str(tmp_path / "lost"), provenance="official", version="v")
    announced: list[tuple[str, int]] = []

    def announce(name: str, count: int) -> Any:
        announced.append((name, count))
        return lambda done, total: None

    sources.generate([("gta5", wanted), ("gta5", wanted), ("gta5", there), ("gta5", official)], announce)
    assert announced == [("gta5", 3)]
    assert made == [("gta5", WorldSpec(scale=0.06))]


def test_a_dataset_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text('class Odd:\n    name = "odd"\n    title = "Odd"\n    splits = {}\n')
    with pytest.raises(PluginError, match=r"Odd is not a subclass of adaptbench.contracts.dataset.Dataset"):
        sources.dataset_class(plugins.discover([file]), "odd")
