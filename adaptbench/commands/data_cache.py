"""``data cache``: the images that trainings read, decoded and kept before the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from adaptbench.commands.output import say
from adaptbench.commands.progress import bars
from adaptbench.contracts import plugins
from adaptbench.contracts.benchmark import Benchmark
from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.plugins import Plugin, Registry
from adaptbench.data.image_cache import ImageCache, require_usable
from adaptbench.errors import DataError, UsageError
from adaptbench.flags import EXIT_UNFINISHED
from adaptbench.inspection.cache_fill import Filled, expected_size, fill, require_room
from adaptbench.storage.atomic import sweep_abandoned

#: Damaged images, and damaged files of the cache, that are named; all are counted.
SHOWN = 20


def keep_images(
    console: Console,
    registry: Registry,
    found: Sequence[tuple[Plugin, Dataset]],
    folder: Path | None,
    jobs: int | None,
) -> int:
    """Fills the cache with the images of all datasets; 1 if one is not there in the end.

    Raises:
        UsageError: no folder is named, or one in which nothing can be kept.
        DataError: there are no images.
        RunStateError: they do not fit.
    """
    if folder is None:
        raise UsageError("data cache: name the folder with --image-cache DIR.")
    cache = ImageCache(folder.expanduser().resolve(), lambda text: say(console, text, "yellow"))
    require_usable(cache.place)
    sweep_abandoned(cache.folder)
    work = [
        (plugin, dataset, split, samples)
        for plugin, dataset in found
        for split, samples in _trained_on(console, registry, dataset).items()
    ]
    if not work:
        raise DataError("None of these datasets has images that a training reads.")
    wanted = sum(expected_size(dataset, samples) for _, dataset, _, samples in work)
    count = sum(len(samples) for *_, samples in work)
    say(console, f"{count:,} images take about {wanted / 2**30:,.2f} GiB in {cache.folder}")
    there = sum(_there(cache.folder / name) for name in {dataset.name for _, dataset, *_ in work})
    require_room(cache.place, wanted - there)
    filled = []
    for plugin, dataset, split, samples in work:
        with bars(console) as add:
            tell = add(f"{dataset.name}/{split}", len(samples))
            filled.append(fill(plugin, dataset, samples, cache.place, tell, jobs))
        _report(console, f"{dataset.name}/{split}", filled[-1])
        if filled[-1].ended:
            break
    return EXIT_UNFINISHED if any(one.damaged or one.ended for one in filled) else 0


def _report(console: Console, what: str, filled: Filled) -> None:
    """One line on what was added, and what could not be."""
    there = filled.images - filled.added - len(filled.damaged)
    _some(console, what, filled.notes, "yellow")
    added = f"{filled.added:,} images added ({filled.size / 2**30:,.2f} GiB)"
    if filled.ended:
        say(console, f"{what}: {added}. {filled.ended}", "red")
    else:
        say(console, f"{what}: {added}, {there:,} were there")
    _some(console, what, filled.damaged, "red")


def _some(console: Console, what: str, texts: Sequence[str], style: str) -> None:
    for text in texts[:SHOWN]:
        say(console, text, style)
    if len(texts) > SHOWN:
        say(console, f"{what}: {len(texts) - SHOWN} more like this.", style)


def _trained_on(console: Console, registry: Registry, dataset: Dataset) -> dict[str, list[Sample]]:
    """The images of the splits that benchmarks train on, or of all splits where none does, as far as they are there."""
    used: set[str] = set()
    for name in registry.names("benchmark"):
        benchmark: type[Benchmark] = plugins.load(registry.find("benchmark", name))
        used |= {ref.split for ref in (*benchmark.source, *benchmark.target) if ref.dataset == dataset.name}
    found = {}
    for split in (split for split in dataset.splits if split in used or not used):
        try:
            found[split] = dataset.usable(split)
        except DataError as error:
            say(console, f"{dataset.name}/{split} is left out. {error}", "yellow")
    return found


def _there(folder: Path) -> int:
    """What lies in the cache already. Units: bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
