"""What a stage trains on."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from adaptbench.contracts.benchmark import SplitRef
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.method import Stage
from adaptbench.data import firewall
from adaptbench.data.pseudo_labels import PseudoLabels, require_known
from adaptbench.data.stream import Domain, Item
from adaptbench.data.taxonomy import label_map
from adaptbench.draws import derive_seed
from adaptbench.errors import DataError
from adaptbench.execution.job_context import Workplace
from adaptbench.execution.stages.pseudo_labelled import PseudoLabelled
from adaptbench.planning import sources


def training_data(
    place: Workplace, stage: Stage, labels: PseudoLabels | None = None
) -> tuple[Domain, Domain | None]:
    """Labelled and unlabelled domain of ``stage``; pseudo-labels take the place of the benchmark's labels."""
    if labels is not None:
        return _pseudo_labelled(place, stage, labels)
    labelled = _few(place, stage, _domain(place, stage, labelled_refs(place, stage), labelled=True))
    if not stage.method.uses_target_images:
        return labelled, None
    return labelled, _domain(place, stage, place.benchmark.target, labelled=False)


def _pseudo_labelled(place: Workplace, stage: Stage, labels: PseudoLabels) -> tuple[Domain, Domain | None]:
    """The target's pictures with pseudo-labels, and without, as far as the method wants them.

    Raises:
        DataError: a pseudo-label is missing or of another size, or the method chooses no or unknown pictures.
    """
    pictures = target_pictures(place)
    facts = {name: entry.facts for name, entry in labels.entries().items()}
    with firewall.closed(place.closed_folders):
        labelled, unlabelled = stage.method.partition(stage.settings, facts)
    require_known(stage.method.name, pictures, labelled, unlabelled)
    labels.require(labelled)
    identity = np.arange(256, dtype=np.uint8)

    def item(name: str, predicted: bool) -> Item:
        picture = pictures[name]
        size = place.input_size(picture.ref.dataset, stage.settings.resolution)
        if predicted:
            labelled_sample = replace(picture.sample, label=labels.file(name))
            return PseudoLabelled(picture.dataset), labelled_sample, size, identity
        return picture.dataset, picture.sample, size, None

    source = Domain([item(name, True) for name in pictures if name in labelled], predicted=True)
    if not stage.method.uses_target_images:
        return source, None
    return source, Domain([item(name, False) for name in pictures if name in unlabelled])


def _few(place: Workplace, stage: Stage, labelled: Domain) -> Domain:
    """As many labelled pictures as the method wants, in their order. More of them include fewer of the same seed.

    Raises:
        DataError: there are not as many.
    """
    count, there = stage.method.label_count(stage.settings), len(labelled.items)
    if count is None:
        return labelled
    if count > there and place.spec.limit is None:
        raise DataError(
            f"{stage.method.name} trains on {count} labelled pictures, and {place.spec.benchmark} has {there} for "
            "it. Set fewer."
        )
    order = np.random.default_rng(derive_seed(place.spec.seed, "labelled pictures")).permutation(there)
    return Domain([labelled.items[i] for i in sorted(order[:count])])


def _domain(place: Workplace, stage: Stage, refs: tuple[SplitRef, ...], *, labelled: bool) -> Domain:
    items: list[Item] = []
    with firewall.closed(place.closed_folders):
        source_box = stage.method.sampling(stage.settings).source_box
    for ref in refs:
        dataset = place.datasets[ref.dataset]
        samples = _used(place, ref)
        if labelled:
            sources.require_labels(dataset, ref.split, samples)
        table = label_map(dataset.id_space, place.spec.class_set) if labelled else None
        box = source_box if ref in place.benchmark.source else None
        size = box or place.input_size(ref.dataset, stage.settings.resolution)
        items += [(dataset, sample, size, table) for sample in samples]
    return Domain(items)


def labelled_refs(place: Workplace, stage: Stage) -> tuple[SplitRef, ...]:
    """The splits whose labels ``stage`` trains on, if no pseudo-labels take their place."""
    return place.benchmark.target if stage.method.supervision == "target" else place.benchmark.source


class TargetPicture(NamedTuple):
    """A training picture of the target.

    Attributes:
        ref: its split.
        dataset: reads it.
        sample: its files.
    """

    ref: SplitRef
    dataset: Dataset
    sample: Sample


def target_pictures(place: Workplace) -> dict[str, TargetPicture]:
    """All training pictures of the target, by a name that is theirs alone."""
    return {
        f"{ref.dataset}-{ref.split}/{sample.name}": TargetPicture(ref, place.datasets[ref.dataset], sample)
        for ref in place.benchmark.target
        for sample in _used(place, ref)
    }


def _used(place: Workplace, ref: SplitRef) -> list[Sample]:
    """The pictures of a split that this job uses."""
    samples = place.datasets[ref.dataset].usable(ref.split)
    return samples[: sources.cap(len(samples), place.spec.limit)]
