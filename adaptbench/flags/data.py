"""The flags of the verbs about data, plug-ins, pages and the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from adaptbench.flags.options import DataPath, DataRoot, Flag, ImageCache, Json, Out, words


@dataclass(frozen=True)
class Data:
    """Verify datasets file by file, count their classes (which rare class sampling needs), or keep decoded images."""

    examples: ClassVar[tuple[str, ...]] = (
        "verify gta5 cityscapes --data-root DATA",
        "stats gta5 --data-path gta5=DIR",
        "cache gta5 cityscapes --data-root DATA --image-cache DIR",
    )

    action: Annotated[Literal["verify", "stats", "cache"], tyro.conf.Positional]
    """verify: counts, pairs, sizes, encodings and ids against the official release. stats: class statistics, counted
    once and kept in the cache. cache: images that are trained on, decoded before the first training."""
    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")] = ()
    """Datasets; by default all that are found."""
    data_root: DataRoot = None
    data_path: DataPath = ()
    image_cache: ImageCache = None
    jobs: Annotated[int | None, words("N")] = None
    """Processes at once; by default one per core."""
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further datasets."""


@dataclass(frozen=True)
class Ls:
    """List methods, benchmarks, datasets, studies, profiles, protocols and runs."""

    examples: ClassVar[tuple[str, ...]] = ("", "methods benchmarks", "runs --out results --json")

    what: Annotated[
        tuple[Literal["methods", "benchmarks", "datasets", "studies", "profiles", "protocols", "runs"], ...],
        tyro.conf.Positional,
    ] = ("methods", "benchmarks", "datasets", "studies", "profiles", "protocols", "runs")
    """What to list."""
    out: Path = Path("results")
    """Results folder whose runs are listed."""
    json: Json = False
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further plug-ins."""


@dataclass(frozen=True)
class Docs:
    """Write the pages of methods, datasets and building blocks in docs/ from what code says and results/ holds."""

    examples: ClassVar[tuple[str, ...]] = ("", "--check")

    check: Flag = False
    """Write nothing; say which pages are not what they would be."""


@dataclass(frozen=True)
class Doctor:
    """Check versions, GPU, disk and data."""

    examples: ClassVar[tuple[str, ...]] = ("", "--data-root DATA", "--data-path gta5=DIR --json")

    data_root: DataRoot = None
    data_path: DataPath = ()
    out: Out = Path("results")
    json: Json = False
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further plug-ins."""
