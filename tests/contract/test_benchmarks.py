"""What every benchmark must keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark, Protocol, SplitRef
from adaptbench.contracts.dataset import Dataset, Split
from adaptbench.contracts.plugins import Plugin
from adaptbench.data.taxonomy import class_set, label_map
from adaptbench.errors import DataError
from adaptbench.planning import sources


def class_of(problem: Plugin) -> type[Benchmark]:
    loaded: type[Benchmark] = plugins.load(problem)
    assert issubclass(loaded, Benchmark)
    return loaded


def facts(registry: plugins.Registry, ref: SplitRef) -> Split:
    reader: type[Dataset] = plugins.load(registry.find("dataset", ref.dataset))
    assert ref.split in reader.splits, f"{ref}: {ref.dataset} has the splits {sorted(reader.splits)}"
    return reader.splits[ref.split]


def test_splits_exist_and_what_is_scored_is_labelled(problem: Plugin, registry: plugins.Registry) -> None:
    declared = class_of(problem)
    assert declared.source and declared.evaluation
    assert all(facts(registry, ref).labelled for ref in (*declared.source, *declared.evaluation))
    for ref in declared.target:
        facts(registry, ref)


def test_what_is_scored_is_never_trained_on(problem: Plugin) -> None:
    declared = class_of(problem)
    trained = {str(ref) for ref in (*declared.source, *declared.target)}
    assert not trained & {str(ref) for ref in declared.evaluation}


def test_no_image_is_trained_on_and_scored(
    problem: Plugin, registry: plugins.Registry, data_folder: Callable[[Plugin], Path]
) -> None:
    """Splits with other names may be cut from the same images."""
    declared = class_of(problem)
    trained: set[Path] = set()
    scored: set[Path] = set()
    for refs, images in (
        (declared.source, trained),
        (declared.target, trained),
        (scored_refs(declared), scored),
    ):
        for ref in refs:
            plugin = registry.find("dataset", ref.dataset)
            images |= images_of(plugins.load(plugin)(data_folder(plugin)), ref.split)
    assert trained and not trained & scored


def scored_refs(declared: type[Benchmark]) -> list[SplitRef]:
    return [*declared.scored(), *declared.also]


def images_of(dataset: Dataset, split: str) -> set[Path]:
    """Images of a split; none of one that the folder lacks."""
    try:
        return {sample.image.resolve() for sample in dataset.samples(split)}
    except DataError:
        return set()


def test_what_is_scored_beside_is_labelled_unseen_and_counted_once(
    problem: Plugin, registry: plugins.Registry
) -> None:
    declared = class_of(problem)
    beside = [str(ref) for ref in declared.also]
    others = {str(ref) for ref in (*declared.source, *declared.target, *declared.evaluation)}
    assert len(set(beside)) == len(beside) and not others & set(beside)
    for ref in declared.also:
        assert facts(registry, ref).labelled and not ref.generated_only
        label_map(plugins.load(registry.find("dataset", ref.dataset)).id_space, declared.class_set)


def test_the_setting_fits_the_target(problem: Plugin) -> None:
    declared = class_of(problem)
    assert declared.setting in ("uda", "dg", "tta")
    assert bool(declared.target) == (declared.setting == "uda")
    assert (declared.stream is not None) == (declared.setting == "tta")


def test_a_stream_shows_the_conditions_that_its_images_have(
    problem: Plugin, registry: plugins.Registry, data_folder: Callable[[Plugin], Path]
) -> None:
    declared = class_of(problem)
    if declared.stream is None:
        return
    ranked = declared.evaluation[0]
    plugin = registry.find("dataset", ranked.dataset)
    samples = sources.stream_samples(
        plugins.load(plugin)(data_folder(plugin)), ranked.split, declared.stream.conditions, None
    )
    assert samples and declared.stream.rounds >= 1
    assert len(scored_refs(declared)) > 1, "no split tells what is forgotten"


def test_the_ranked_split_exists_on_official_data(problem: Plugin) -> None:
    assert not class_of(problem).evaluation[0].generated_only


def test_every_dataset_can_be_labelled_with_the_class_set(
    problem: Plugin, registry: plugins.Registry
) -> None:
    declared = class_of(problem)
    classes = class_set(declared.class_set)
    for name in declared.datasets():
        table = label_map(plugins.load(registry.find("dataset", name)).id_space, declared.class_set)
        assert table.shape == (256,)
        assert set(table.tolist()) <= {*range(len(classes)), 255}


def test_the_protocol_is_complete(problem: Plugin) -> None:
    declared = class_of(problem)
    assert isinstance(declared.protocol, Protocol)
    assert all(isinstance(getattr(declared.protocol, field.name), str) for field in fields(Protocol))
    assert isinstance(declared.version, int) and declared.version >= 1
    assert set(declared.provenance) <= set(declared.datasets())
    assert set(declared.provenance.values()) <= {"generated", "official"}
