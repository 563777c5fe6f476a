"""What a stage trains on."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adaptbench.contracts.benchmark import SplitRef
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.method import Stage
from adaptbench.data import firewall
from adaptbench.data.image_cache import CachedImages, ImageCache
from adaptbench.data.pseudo_labels import PseudoLabels, require_known
from adaptbench.data.sample import Reader
from adaptbench.data.stream import Domain, Item
from adaptbench.data.taxonomy import IGNORE, label_map
from adaptbench.draws import derive_seed
from adaptbench.errors import DataError
from adaptbench.execution.job_context import JobContext
from adaptbench.execution.scored_splits import scored_samples
from adaptbench.planning import sources


class PseudoLabelled(Dataset):
    """A dataset's images with pseudo-labels, whose ids are train ids of so many classes."""

    name = "pseudo-labels"
    id_space = "train ids"
    label_folders = ()

    def __init__(self, dataset: Dataset, classes: int) -> None:
        super().__init__(dataset.root)
        self.images = dataset
        self._ids = frozenset((*range(classes), IGNORE))

    @property
    def known_ids(self) -> frozenset[int]:
        """The train ids, and those of pixels without a label."""
        return self._ids

    def samples(self, split: str) -> list[Sample]:
        """All samples of ``split``, without their pseudo-labels."""
        return self.images.samples(split)

    def read_image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The image. Shape: ``(H, W, 3)`` RGB uint8."""
        return self.images.read_image(sample)


def training_data(
    context: JobContext, stage: Stage, labels: PseudoLabels | None = None
) -> tuple[Domain, Domain | None]:
    """Labelled and unlabelled domain of ``stage``; pseudo-labels take the place of the benchmark's labels."""
    if labels is not None:
        return _pseudo_labelled(context, stage, labels)
    labelled = _few(context, stage, _domain(context, stage, labelled_refs(context, stage), labelled=True))
    if stage.method.supervision == "source":
        _require_unscored(context, labelled)
    if not stage.method.uses_target_images:
        return labelled, None
    return labelled, _domain(context, stage, context.benchmark.target, labelled=False)


def cached(domain: Domain, cache: ImageCache) -> Domain:
    """The same domain, whose images are kept in a cache and read from it; labels are not."""

    def reader(dataset: Reader) -> Reader:
        images = dataset.images if isinstance(dataset, PseudoLabelled) else dataset
        return CachedImages(dataset, images, cache) if isinstance(images, Dataset) else dataset

    readers = {id(dataset): reader(dataset) for dataset, *_ in domain.items}
    items = [(readers[id(dataset)], sample, box, table) for dataset, sample, box, table in domain.items]
    return replace(domain, items=items)


def _pseudo_labelled(context: JobContext, stage: Stage, labels: PseudoLabels) -> tuple[Domain, Domain | None]:
    """The target's images with pseudo-labels, and without, as far as the method wants them."""
    images = target_images(context)
    facts = {name: entry.facts for name, entry in labels.entries().items()}
    with firewall.closed(context.closed_folders):
        labelled, unlabelled = stage.method.partition(stage.settings, facts)
    require_known(stage.method.name, images, labelled, unlabelled)
    labels.require(dict.fromkeys([*facts, *labelled]))  # what was noted of the others decides, too
    identity = np.arange(256, dtype=np.uint8)

    def item(name: str, predicted: bool) -> Item:
        image = images[name]
        size = context.input_size(image.ref.dataset, stage.settings.resolution)
        if predicted:
            labelled_sample = replace(image.sample, label=labels.file(name))
            return PseudoLabelled(image.dataset, len(context.task.class_set)), labelled_sample, size, identity
        return image.dataset, image.sample, size, None

    source = Domain([item(name, True) for name in images if name in labelled], predicted=True)
    if not stage.method.uses_target_images:
        return source, None
    return source, Domain([item(name, False) for name in images if name in unlabelled])


def _require_unscored(context: JobContext, labelled: Domain) -> None:
    """Raises DataError if a label is trained on and scored: such a score says nothing of other images."""
    trained = {os.path.realpath(sample.label) for _, sample, _, _ in labelled.items}
    for ref, samples in scored_samples(context).items():
        both = [sample for sample in samples if os.path.realpath(sample.label) in trained]
        if both:
            raise DataError(
                f"{len(both)} of {len(samples)} images of {ref}, which is scored, are among those whose labels are "
                f"trained on, for example {both[0].label}. Source and scored splits must not share images."
            )


def _few(context: JobContext, stage: Stage, labelled: Domain) -> Domain:
    """As many labelled images as the method wants, in their order; more of them include fewer of the seed."""
    count, there = stage.method.label_count(stage.settings), len(labelled.items)
    if count is None:
        return labelled
    if count > there and context.spec.limit is None:
        raise DataError(
            f"{stage.method.name} trains on {count} labelled images, and {context.spec.benchmark} has {there} for "
            "it. Set fewer."
        )
    order = np.random.default_rng(derive_seed(context.spec.seed, "labelled images")).permutation(there)
    return Domain([labelled.items[i] for i in sorted(order[:count])])


def _domain(context: JobContext, stage: Stage, refs: tuple[SplitRef, ...], *, labelled: bool) -> Domain:
    items: list[Item] = []
    with firewall.closed(context.closed_folders):
        source_box = stage.method.sampling(stage.settings).source_box
    for ref in refs:
        dataset = context.datasets[ref.dataset]
        samples = used_samples(context, ref)
        if labelled:
            sources.require_labels(dataset, ref.split, samples)
        table = label_map(dataset.id_space, context.spec.class_set) if labelled else None
        box = source_box if ref in context.benchmark.source else None
        size = box or context.input_size(ref.dataset, stage.settings.resolution)
        items += [(dataset, sample, size, table) for sample in samples]
    return Domain(items)


def labelled_refs(context: JobContext, stage: Stage) -> tuple[SplitRef, ...]:
    """The splits whose labels ``stage`` trains on, if no pseudo-labels take their place."""
    return context.benchmark.target if stage.method.supervision == "target" else context.benchmark.source


class TargetImage(NamedTuple):
    """A training image of the target."""

    ref: SplitRef
    dataset: Dataset
    sample: Sample


def target_images(context: JobContext) -> dict[str, TargetImage]:
    """All training images of the target, by a name that is theirs alone."""
    return {
        f"{ref.dataset}-{ref.split}/{sample.name}": TargetImage(ref, context.datasets[ref.dataset], sample)
        for ref in context.benchmark.target
        for sample in used_samples(context, ref)
    }


def used_samples(context: JobContext, ref: SplitRef) -> list[Sample]:
    """The images of a split that this job uses."""
    samples = context.datasets[ref.dataset].usable(ref.split)
    return samples[: sources.cap(len(samples), context.spec.limit)]
