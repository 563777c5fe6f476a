"""A/A study: how often do the statistics find a difference where there is none?

    python -m benchmarks.statistics.false_positives                          made-up boards
    python -m benchmarks.statistics.false_positives --runs OUT --method M    a method with 10 or more finished seeds

The seeds of one method are dealt to fake methods of five seeds each, and these are compared as a leaderboard does.
Every difference found is false; at most 5 % may be. Two shortcuts are counted beside: resampling the images of two
checkpoints, and resampling the images of the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from adaptbench.errors import RunStateError
from adaptbench.records.average import miou_only
from adaptbench.records.found import find_records
from adaptbench.reporting.matrices import cluster_names, load_tallies
from adaptbench.statistics.bootstrap import Replicates, bootstrap
from adaptbench.statistics.comparison import SEEDS_NEEDED, pairwise
from adaptbench.statistics.holm import holm
from adaptbench.statistics.tallies import Floats
from benchmarks.statistics.world import World

LEVEL = 0.05


@dataclass
class Count:
    """How many of how many."""

    found: int = 0
    of: int = 0

    def add(self, found: Iterable[bool]) -> None:
        """Counts outcomes."""
        for one in found:
            self.found += int(one)
            self.of += 1

    def __str__(self) -> str:
        share = self.found / self.of
        return f"{100 * share:5.1f} % of {self.of} (± {100 * (share * (1 - share) / self.of) ** 0.5:.1f})"


def study(boards: Iterator[list[Floats]], clusters: Sequence[str], resamples: int) -> dict[str, Count]:
    """False positives over boards of fake methods."""
    names = (
        "boards with any difference (Holm)",
        "pairs, seeds and images resampled",
        "shortcut: images of the mean over seeds",
        "shortcut: images of two checkpoints",
    )
    counts = {name: Count() for name in names}
    for number, board in enumerate(boards):
        methods = {f"fake {i}": tallies for i, tallies in enumerate(board)}
        replicates = list(bootstrap(methods, clusters, miou_only, resamples=resamples, seed=number).values())
        table = pairwise(replicates)
        p = [table[i][j].p for i, j in combinations(range(len(board)), 2)]
        first = bootstrap(
            {n: t[:1] for n, t in methods.items()},
            clusters,
            miou_only,
            resamples=resamples,
            seed=number,
        )
        counts[names[0]].add([min(holm(p)) < LEVEL])
        counts[names[1]].add(one < LEVEL for one in p)
        counts[names[2]].add(_images_only(replicates))
        counts[names[3]].add(_images_only(list(first.values())))
    return counts


def _images_only(methods: Sequence[Replicates]) -> list[bool]:
    """Per pair whether the percentile interval over image resamples excludes 0."""
    found = []
    for a, b in combinations(methods, 2):
        low, high = np.quantile(a.images[:, 0] - b.images[:, 0], [LEVEL / 2, 1 - LEVEL / 2])
        found.append(bool(low > 0 or high < 0))
    return found


def splits_of(out: Path, method: str, count: int) -> tuple[Iterator[list[Floats]], list[str]]:
    """Random deals of a method's finished seeds to fake methods of five, and the clusters of the images.

    Raises:
        RunStateError: no group of the method has ten seeds.
    """
    groups: dict[str, list[int]] = {}
    records = [record for record in find_records(out) if record.method == method and not record.smoke]
    for index, record in enumerate(records):
        groups.setdefault(record.group_hash, []).append(index)
    largest = max(groups.values(), key=len, default=[])
    if len(largest) < 2 * SEEDS_NEEDED:
        raise RunStateError(
            f"{out} holds {len(largest)} seeds of {method}; an A/A study needs {2 * SEEDS_NEEDED}."
        )
    chosen = [records[index] for index in largest]
    split = chosen[0].scores[0].split
    found = load_tallies(out, chosen, split)
    tallies = found.tallies
    rng = np.random.default_rng(0)

    def deals() -> Iterator[list[Floats]]:
        for _ in range(count):
            order = rng.permutation(len(tallies))
            fakes = len(tallies) // SEEDS_NEEDED
            yield [tallies[order[i * SEEDS_NEEDED : (i + 1) * SEEDS_NEEDED]] for i in range(fakes)]

    return deals(), cluster_names(out, chosen[0], split, found.names)


def main(
    boards: int = 500,
    methods: int = 4,
    resamples: int = 1000,
    runs: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None,
    method: str = "source_only",
) -> None:
    """Counts false positives on made-up boards, or on a method's finished seeds.

    Args:
        boards: number of boards, or of deals of the finished seeds.
        methods: fake methods on a made-up board.
        resamples: per board.
        runs: results folder; made-up boards without it.
        method: whose seeds are dealt.
    """
    if runs is not None:
        deals, clusters = splits_of(runs, method, boards)
        _show(f"{method} of {runs}, dealt {boards} times", study(deals, clusters, resamples))
        return
    worlds = {
        "methods equal on every image, 3 cities": World(),
        "methods equal on every image, 72 places": World(cities=72, images=1),
        "methods equal on average over 3 cities": World(interaction=0.3),
        "methods equal on average over 12 cities": World(cities=12, images=6, interaction=0.3),
    }
    for title, world in worlds.items():
        rng = np.random.default_rng(0)
        made = (world.board(methods, SEEDS_NEEDED, rng) for _ in range(boards))
        _show(title, study(made, world.clusters, resamples))


def _show(title: str, counts: dict[str, Count]) -> None:
    print(title)  # noqa: T201
    for name, count in counts.items():
        print(f"  {name:42} {count}")  # noqa: T201


if __name__ == "__main__":
    tyro.cli(main)
