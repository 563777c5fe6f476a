"""``doctor``: is this machine ready?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.table import Table

from adaptbench.commands.output import cell, console, print_json
from adaptbench.contracts import plugins
from adaptbench.data import landlock, minicity
from adaptbench.errors import AdaptBenchError
from adaptbench.flags import EXIT_UNFINISHED, Doctor
from adaptbench.planning import sources
from adaptbench.planning.devices import gpus
from adaptbench.planning.request import Request, parse_paths

_PACKAGES = ("torch", "torchvision", "timm", "mmsegmentation", "mmengine", "numpy", "opencv-python", "wandb")


def execute(command: Doctor) -> int:
    """Prints what was found; 1 if something needed is missing."""
    found = _found(command)
    if command.json:
        print_json(found)
    else:
        console().print(_table(found))
    return 0 if found["ready"] else EXIT_UNFINISHED


def _found(command: Doctor) -> dict[str, Any]:
    registry = plugins.discover(command.plugins)
    request = Request(data_root=command.data_root, data_paths=parse_paths(command.data_path))
    packages = {package: _version(package) for package in _PACKAGES}
    folders = {"results": command.out, "generated data": minicity.cache_folder()}
    return {
        "ready": None not in packages.values(),
        "packages": packages,
        "mmcv": "full mmcv" if _version("mmcv") else "mmcv-lite with a stand-in for its operators",
        "cpu_cores": len(os.sched_getaffinity(0)),
        "gpu": next(iter(gpus()), None),
        "label_firewall": _label_firewall(),
        "folders": {name: _folder(folder) for name, folder in folders.items()},
        "datasets": {name: _dataset(registry, name, request) for name in registry.names("dataset")},
    }


def _table(found: Mapping[str, Any]) -> Table:
    table = Table("", "", box=None, show_header=False, pad_edge=False)
    for package, version in found["packages"].items():
        table.add_row(package, version or "MISSING")
    table.add_row("mmcv", found["mmcv"])
    table.add_row("CPU cores", str(found["cpu_cores"]))
    table.add_row("GPU", found["gpu"] or "none (CPU is used)")
    table.add_row("label firewall", cell(found["label_firewall"]))
    for name, folder in found["folders"].items():
        writable = "" if folder["writable"] else ", NOT WRITABLE"
        free = f"{folder['free_bytes'] / 2**30:.1f} GiB free"
        table.add_row(f"{name} folder", cell(f"{folder['path']}: {free}{writable}"))
    for name, dataset in found["datasets"].items():
        table.add_row(f"dataset {name}", cell(_dataset_text(dataset)))
    return table


def _label_firewall() -> str:
    """What keeps trainings from labels here."""
    lacking = landlock.missing()
    return "kernel and audit hook" if lacking is None else f"audit hook alone (no Landlock: {lacking})"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _folder(folder: Path) -> dict[str, Any]:
    existing = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    return {"path": str(folder), "free_bytes": free, "writable": os.access(existing, os.W_OK)}


def _dataset(registry: plugins.Registry, name: str, request: Request) -> dict[str, Any]:
    """Folder of a dataset and images per split, or why it is not usable."""
    try:
        dataset = sources.open_official(registry, name, request)
    except AdaptBenchError as error:
        looked_for = request.data_root or request.data_paths
        missing = f"not found ({error})" if looked_for else "not looked for (--data-root)"
        return {"path": None, "missing": missing, "images": {}}
    counts: dict[str, dict[str, int | None]] = {}
    for split, facts in dataset.splits.items():
        try:
            counts[split] = {"found": len(dataset.samples(split)), "official": facts.count}
        except AdaptBenchError:
            continue
    return {"path": str(dataset.root), "missing": None, "images": counts}


def _dataset_text(dataset: Mapping[str, Any]) -> str:
    if dataset["path"] is None:
        return str(dataset["missing"])
    counts = [
        f"{split} {count['found']}"
        + ("" if count["official"] in (None, count["found"]) else f" of {count['official']}")
        for split, count in dataset["images"].items()
    ]
    return f"{dataset['path']}: {', '.join(counts) or 'no images'}"
