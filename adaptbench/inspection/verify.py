"""Is a dataset complete and as released? Counts, pairs, sizes, encodings and ids of every split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.plugins import Plugin
from adaptbench.data import archives, layout, minicity
from adaptbench.data.generated_files import specification_of
from adaptbench.data.taxonomy import known_ids
from adaptbench.errors import DataError
from adaptbench.inspection.findings import Finding, Seen, Size, inspect
from adaptbench.inspection.sample_pool import each_sample

#: Called with the samples done so far.
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Expected:
    """What a split should hold: the official release's numbers, or those of a generated world.

    Attributes:
        count: number of images; None where nobody says.
        sizes: of images; None = any.
    """

    count: int | None
    sizes: frozenset[Size] | None


@dataclass(frozen=True)
class SplitReport:
    """What was found in a split.

    Attributes:
        sizes: images by size.
        ids: pixels by raw id, over all labels.
        findings: what is wrong; known defects of the official release are marked.
    """

    dataset: str
    split: str
    images: int
    expected: Expected
    sizes: Counter[Size] = field(default_factory=Counter)
    ids: Counter[int] = field(default_factory=Counter)
    findings: tuple[Finding, ...] = ()

    @property
    def new(self) -> list[Finding]:
        """The defects that the official release does not have."""
        return [finding for finding in self.findings if not finding.known]


def expected_of(dataset: Dataset, split: str) -> Expected:
    """What ``split`` should hold."""
    world = specification_of(dataset.root)
    if world is not None:
        scale = float(world["world"]["scale"])
        made = frozenset(minicity.image_size(dataset.name, scale, index) for index in range(60))
        return Expected(world["counts"].get(split), made)
    sizes = None if dataset.other_sizes is None else frozenset((dataset.image_size, *dataset.other_sizes))
    return Expected(dataset.splits[split].count, sizes)


def verify(
    plugin: Plugin, dataset: Dataset, split: str, tell: Tell, workers: int | None = None
) -> SplitReport:
    """Looks at every file of ``split``; a DataError if it is not there at all."""
    samples = dataset.samples(split)
    labelled = dataset.splits[split].labelled
    expected = expected_of(dataset, split)
    findings = [*_count(expected, len(samples)), *(_pairing(dataset, split, samples) if labelled else ())]
    complete = [sample for sample in samples if not labelled or archives.is_file(sample.label)]
    work = partial(inspect, labelled=labelled, known_ids=known_ids(dataset.id_space))
    report = SplitReport(dataset.name, split, len(samples), expected)
    for done, seen in enumerate(each_sample(plugin, dataset.root, complete, work, workers), start=1):
        findings += [*seen.findings, *_wrong_size(seen, expected)]
        report.sizes.update([seen.size] if seen.size else [])
        report.ids.update(seen.ids)
        tell(done)
    return replace(report, findings=tuple(_marked(finding, dataset) for finding in findings))


def _count(expected: Expected, found: int) -> list[Finding]:
    if expected.count in (None, found):
        return []
    count = f"{found} images instead of {expected.count}."
    if expected.count is not None and found > expected.count:
        return [Finding("surplus image", "", f"{count} Take away what is not of the official release.")]
    return [Finding("missing image", "", f"{count} Unpack the official archives completely.")]


def _wrong_size(seen: Seen, expected: Expected) -> list[Finding]:
    if seen.size is None or expected.sizes is None or seen.size in expected.sizes:
        return []
    usual = " or ".join(f"{width}x{height}" for width, height in sorted(expected.sizes))
    text = f"The image has {seen.size[0]}x{seen.size[1]} pixels instead of {usual}."
    return [Finding("size", seen.name, text)]


def _pairing(dataset: Dataset, split: str, samples: Sequence[Sample]) -> list[Finding]:
    """Images without label, and labels without image."""
    missing = [
        Finding("missing label", sample.name, f"{sample.label} does not exist.{_way_out(sample)}")
        for sample in samples
        if not archives.is_file(sample.label)
    ]
    return [*missing, *_orphans(dataset, samples)]


def _way_out(sample: Sample) -> str:
    return layout.beside(sample.label) or " Unpack the labels, too."


def _orphans(dataset: Dataset, samples: Sequence[Sample]) -> list[Finding]:
    """Labels beside the expected ones that belong to no image; output of converters belongs to one."""
    tails = {
        sample.label.name.removeprefix(sample.name)
        for sample in samples
        if sample.label.name.startswith(sample.name)
    }
    if len(tails) != 1:
        return []  # the name of a label does not follow from that of its image alone
    (tail,) = tails
    known = _names_in_these_folders(dataset, samples)
    found = []
    for path in _label_files(samples):
        stem = path.name.removesuffix(tail)
        converted = "_" in stem and any(stem.startswith(f"{name}_") for name in _heads(stem) & known)
        if path.name.endswith(tail) and not path.name.startswith(".") and stem not in known and not converted:
            found.append(
                Finding("label without image", stem, f"{path} belongs to no image of {dataset.name}.")
            )
    return found


def _names_in_these_folders(dataset: Dataset, samples: Sequence[Sample]) -> set[str]:
    """Names of ``samples``, and of those of other splits whose labels lie in the same folders."""
    folders = {sample.label.parent for sample in samples}
    found = {sample.name for sample in samples}
    for split in dataset.splits:
        with suppress(DataError):  # the split is not there
            found |= {other.name for other in dataset.samples(split) if other.label.parent in folders}
    return found


def _heads(stem: str) -> set[str]:
    """What stands before each underscore."""
    parts = stem.split("_")
    return {"_".join(parts[:i]) for i in range(1, len(parts))}


def _label_files(samples: Iterable[Sample]) -> list[Path]:
    """All files in the folders of the labels, on disk or in archives."""
    found: list[Path] = []
    for folder in sorted({sample.label.parent for sample in samples}):
        inside = archives.split(folder)
        if inside is not None:
            found += archives.archive(inside[0]).glob(inside[1], "*")
        elif folder.is_dir():
            found += [path for path in folder.iterdir() if path.is_file()]
    return sorted(found)


def _marked(finding: Finding, dataset: Dataset) -> Finding:
    """Defects of samples that the dataset's file lists are known."""
    if finding.name not in dataset.broken:
        return finding
    return replace(finding, known=True, text=f"{finding.text} Known: {dataset.broken[finding.name]}.")


def verify_splits(
    plugin: Plugin, dataset: Dataset, announce: Callable[[str, int], Tell], workers: int | None = None
) -> tuple[list[SplitReport], dict[str, str]]:
    """Reports of all splits that are there, and of the others why they are not.

    ``announce`` is told a split and its number of images, and returns what is told how many are done.
    """
    reports, absent = [], {}
    for split in dataset.splits:
        try:
            count = len(dataset.samples(split))
        except DataError as error:
            absent[split] = str(error)
            continue
        reports.append(verify(plugin, dataset, split, announce(split, count), workers))
    return reports, absent
