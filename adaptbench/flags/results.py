"""The flags of the verbs that work with finished runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from adaptbench.contracts.keeping import KeepWeights
from adaptbench.flags.options import NO_TRACKING, Flag, Json, Out, TrackingFlags, words


@dataclass(frozen=True)
class Report:
    """Rebuild the leaderboards and the tables of studies from the records of finished runs."""

    examples: ClassVar[tuple[str, ...]] = ("", "--out results --page", "--json")

    out: Out = Path("results")
    publish: Flag = False
    """Also update what the repository shows: results/minicity and results/camvid (boards, studies and runs), the pages
    of results/published, and those that docs writes."""
    images: Flag = False
    """Also draw the leaderboards and strips of predictions."""
    page: Flag = False
    """Also write a web page with tables, charts, images and a page per run: OUT/leaderboards/page/index.html."""
    json: Json = False
    tracking: TrackingFlags = NO_TRACKING


@dataclass(frozen=True)
class Analyse:
    """Look closer at finished runs: features (ccd), predictions near boundaries, calibration, other scores (views)."""

    examples: ClassVar[tuple[str, ...]] = (
        "boundary",
        "ccd --methods dacs source_only --seeds 0",
        "views --benchmarks minicity/gta5_to_cityscapes",
    )

    what: Annotated[Literal["ccd", "boundary", "calibration", "views"], tyro.conf.Positional]
    """ccd: how compact the features of each class are, compared with how far other classes are away. boundary:
    boundary IoU, and mean IoU within bands around the true boundaries. calibration: expected calibration error,
    likelihood and Brier score. views: from the confusion matrices that runs keep, 16 and 13 of the classes under each
    published convention, scores per condition and city, accuracy, small objects, and the distribution over images."""
    methods: Annotated[tuple[str, ...], words("METHOD ...")] = ()
    """Only runs of these methods."""
    benchmarks: Annotated[tuple[str, ...], words("BENCHMARK ...")] = ()
    """Only runs on these benchmarks, named as in the leaderboard, for example minicity/gta5_to_cityscapes."""
    seeds: Annotated[tuple[int, ...], words("SEED ...")] = ()
    """Only runs with these seeds."""
    limit: Annotated[int | None, words("N")] = None
    """Look at the first N images only."""
    out: Out = Path("results")


@dataclass(frozen=True)
class Compare:
    """Compare two methods, or two runs: differences per class, condition and image, and how sure they are."""

    examples: ClassVar[tuple[str, ...]] = (
        "dacs source_only",
        "hrda dacs --benchmark minicity/gta5_to_cityscapes --json",
    )

    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """A method, a row of the leaderboard as it is labelled there, a run's folder, or the start of a hash."""
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """What it is compared with."""
    benchmark: Annotated[str | None, words("BENCHMARK")] = None
    """Which benchmark, if both were run on several."""
    any_protocol: Flag = False
    """Compare what was run under different protocols, as long as the scored images are the same."""
    out: Out = Path("results")
    json: Json = False


@dataclass(frozen=True)
class Cite:
    """Print BibTeX and data licences for what a table contains."""

    examples: ClassVar[tuple[str, ...]] = ("", "minicity/gta5_to_cityscapes", "published/gta5_to_cityscapes")

    boards: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="BOARD ...")] = ()
    """Benchmarks of the results folder, by default all; published/KEY means a board of results/published."""
    out: Out = Path("results")
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further plug-ins."""


@dataclass(frozen=True)
class Contribute:
    """Pack finished runs for others: one zip per run, with its record and confusion matrices."""

    examples: ClassVar[tuple[str, ...]] = (
        "results",
        "results/runs/minicity/gta5_to_cityscapes/dacs/0-0123abcd --to zips",
    )

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")]
    """Folders of finished runs, or results folders, which mean all of their runs."""
    to: Path = Path("contributions")
    """Folder for the zips."""


@dataclass(frozen=True)
class Merge:
    """Check contributed runs, recompute their scores, and add those that hold to a results folder."""

    examples: ClassVar[tuple[str, ...]] = ("contributions/*.zip", "one.zip two.zip --out shared/results")

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ZIP ...")]
    """What contribute wrote."""
    out: Out = Path("results")
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods and benchmarks."""


@dataclass(frozen=True)
class Clean:
    """Remove what finished runs no longer need: weights, pseudo-labels, checkpoints, and stages of deleted runs."""

    examples: ClassVar[tuple[str, ...]] = ("--dry-run", "--keep-weights last", "--keep-weights none --yes")

    out: Out = Path("results")
    keep_weights: Annotated[KeepWeights | None, words("{all,last,none}")] = None
    """What stays of every finished run: all weights and pseudo-labels; last: the weights that were scored; none. By
    default what each run was told to keep."""
    dry_run: Flag = False
    """Show what would go, and stop."""
    yes: Annotated[Flag, tyro.conf.arg(aliases=["-y"])] = False
    """Remove it without a question."""


@dataclass(frozen=True)
class Dashboard:
    """Make a workspace and a report in Weights & Biases that show the runs of a results folder."""

    examples: ClassVar[tuple[str, ...]] = ("--project adaptbench --entity me", "--spec dashboard.json")

    project: Annotated[str, tyro.conf.arg(metavar="PROJECT")] = "adaptbench"
    """The project that run or report --wandb online has filled."""
    entity: Annotated[str | None, words("ENTITY")] = None
    """Whose project it is, by default yours."""
    spec: Annotated[Path | None, words("FILE")] = None
    """Write what would be sent to a file, and send nothing."""
    out: Out = Path("results")
