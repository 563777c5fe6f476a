"""What test servers want: ids, confidence, file names, numbers and sizes of images."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np

from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.prediction.encoding import confidence_levels, png
from adaptbench.prediction.servers import SERVERS, Server

from ..case import Array, Case
from ..registry import handler
from .dataset_formats import reader


@handler("submission")
def check_submission(case: Case) -> None:
    facts = json.loads((case.path / "submission.json").read_text(encoding="utf-8"))
    case.expect(
        "servers", [name for name, fact in facts.items() if "cases" in fact and name not in SERVERS], []
    )
    with np.load(case.path / "submission.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    results = {source: text.split()[1] for source, text in facts["arrays"].items()}
    exempt = [
        name for name in arrays if any(fnmatchcase(name, pattern) for pattern in facts.get("exempt", []))
    ]
    case.expect("arrays", sorted({*results, *results.values(), *exempt}), sorted(arrays))
    for source, result in results.items():
        _check_array(case, result, arrays[source], arrays[result])
    _check_files(case, arrays)
    for name in SERVERS.keys() & facts.keys():
        _check_server(case, name, facts[name])


def _check_array(case: Case, name: str, source: Array, expected: Array) -> None:
    if name.startswith("confidence"):
        case.expect(name, confidence_levels(source), expected)
        return
    case.expect(name, SERVERS["cityscapes"].ids(source, CITYSCAPES19.name), expected)
    for server in ("acdc", "dark_zurich", "bdd100k"):  # they want train ids, as they are
        case.expect(f"{name} of {server}", SERVERS[server].ids(source, CITYSCAPES19.name), source)


def _check_files(case: Case, arrays: dict[str, Array]) -> None:
    """Every recorded file has the pixels of a recorded array, and ours of that array decodes to the same."""
    for path in sorted(case.path.glob("*.png")):
        recorded = _decoded(path.read_bytes())
        same = [name for name, array in arrays.items() if _equal(array, recorded)]
        case.expect(f"{path.name} is a recorded array", bool(same), True)
        for name in same:
            case.expect(f"{path.name} from {name}", _decoded(png(arrays[name])), recorded)


def _check_server(case: Case, name: str, facts: dict[str, Any]) -> None:
    server, dataset = SERVERS[name], reader(SERVERS[name].dataset)
    if "n_test_images" in facts:
        case.expect(f"{name} images", dataset.splits["test"].count, facts["n_test_images"])
    if "size_wh" in facts:
        case.expect(f"{name} size", list(dataset.image_size), facts["size_wh"])
    _check_pixel_values(case, name, server, facts["pixel_values"])
    for entry in facts.get("cases", []):
        expected = entry.get("reference_output_names") or [entry["reference_output_name"]]
        case.expect(f"{name} {entry['image']}", server.files(PurePosixPath(entry["image"]).name), expected)


def _check_pixel_values(case: Case, name: str, server: Server, stated: str | dict[str, str]) -> None:
    """Label ids or train ids; where there are several folders, what each of them holds."""
    if isinstance(stated, dict):
        case.expect(f"{name} folders", sorted(server.folders), sorted(stated))
        return
    space = "cityscapes" if stated.startswith("label ids") else "cityscapes_train"
    case.expect(f"{name} ids", server.id_space, space)


def _decoded(data: bytes) -> Array:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return np.asarray(decoded)


def _equal(first: Array, second: Array) -> bool:
    return first.dtype == second.dtype and np.array_equal(first, second)
