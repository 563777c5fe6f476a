"""``doctor``: is this machine ready?"""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptbench.contracts import plugins
from adaptbench.data import minicity
from adaptbench.errors import AdaptBenchError
from adaptbench.flags import EXIT_UNFINISHED, Doctor
from adaptbench.planning import sources
from adaptbench.planning.devices import gpus
from adaptbench.planning.request import Request, parse_paths

_PACKAGES = ("torch", "torchvision", "timm", "mmsegmentation", "mmengine", "numpy", "opencv-python", "wandb")


def execute(command: Doctor) -> int:
    """Prints what was found; 1 if something needed is missing."""
    console = Console()
    table = Table("", "", box=None, show_header=False, pad_edge=False)
    ready = True
    for package in _PACKAGES:
        version = _version(package)
        ready &= version is not None
        table.add_row(package, version or "MISSING")
    table.add_row("mmcv", "full mmcv" if _version("mmcv") else "mmcv-lite with a stand-in for its operators")
    table.add_row("CPU cores", str(len(os.sched_getaffinity(0))))
    table.add_row("GPU", next(iter(gpus()), "none (CPU is used)"))
    for name, folder in (("results", command.out), ("generated data", minicity.cache_folder())):
        table.add_row(f"{name} folder", Text(_space(folder)))
    for name, found in _datasets(command).items():
        table.add_row(f"dataset {name}", Text(found))
    console.print(table)
    return 0 if ready else EXIT_UNFINISHED


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _space(folder: Path) -> str:
    existing = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    writable = "" if os.access(existing, os.W_OK) else ", NOT WRITABLE"
    return f"{folder}: {shutil.disk_usage(existing).free / 2**30:.1f} GiB free{writable}"


def _datasets(command: Doctor) -> dict[str, str]:
    """Per dataset: its folder and pictures per split, or why it is not usable."""
    registry = plugins.discover(command.plugins)
    request = Request(data_root=command.data_root, data_paths=parse_paths(command.data_path))
    return {name: _dataset(registry, name, request) for name in registry.names("dataset")}


def _dataset(registry: plugins.Registry, name: str, request: Request) -> str:
    try:
        dataset = sources.dataset_class(registry, name)(sources.official_root(registry, name, request))
    except AdaptBenchError as error:
        return (
            f"not found ({error})"
            if request.data_root or request.data_paths
            else "not looked for (--data-root)"
        )
    counts = []
    for split, facts in dataset.splits.items():
        try:
            found = len(dataset.samples(split))
        except AdaptBenchError:
            continue
        official = "" if facts.count in (None, found) else f" of {facts.count}"
        counts.append(f"{split} {found}{official}")
    return f"{dataset.root}: {', '.join(counts) or 'no pictures'}"
