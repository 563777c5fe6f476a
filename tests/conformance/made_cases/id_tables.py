"""Id tables of FADA and EHTDI, and label files in the official encodings, from the recorded facts."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from .making import Array, Made, MadeFolder, Rng, image_file, maker, side
from .recorded_facts import Table, cityscapes, counts, id_table, kept, listed, mapped, restricted


def _synthia() -> Table:
    return id_table("synthia", "classes", "train_id_19")


def _some(rng: Rng, arrays: dict[str, Array]) -> dict[str, Array]:
    """A few of the arrays, in another order."""
    names = rng.permutation(sorted(arrays))[: side(rng, 2, len(arrays))]
    return {f"out/{name}": arrays[name] for name in names}


@maker("fada_label_maps")
def fada_label_maps(rng: Rng) -> Made:
    """Some of the tables, of other lengths and class sets."""
    tables = {
        "fada_gta5": cityscapes(),
        **{f"fada_cityscapes{n}": restricted(cityscapes(), n) for n in (19, 16, 13)},
        **{f"fada_synthia{n}": restricted(_synthia(), n) for n in (19, 16, 13)},
    }
    arrays = {name: listed(table, side(rng, 40, 256)).astype(np.uint8) for name, table in tables.items()}
    arrays |= {f"fada_{n}_to_19": np.array(kept(n), dtype=np.uint8) for n in (16, 13)}
    return Made({"hyper_parameters": {}, "tolerance": "exact"}, {**_some(rng, arrays)})


@maker("ehtdi_label_maps")
def ehtdi_label_maps(rng: Rng) -> Made:
    """Some of the tables, of other lengths and class sets; what is ignored is -1."""
    trains = {train: train for train in range(19)}
    tables = {
        **{f"cityscapes_{n}": restricted(cityscapes(), n) for n in (19, 16, 13)},
        **{f"gta5_{n}": restricted(cityscapes(), n) for n in (19, 16, 13)},
        **{f"train_id_to_{n}": restricted(trains, n) for n in (16, 13)},
        **{f"synthia_{n}": restricted(_synthia(), n) for n in (16, 13)},
        "synthia_19_numbering": _synthia(),
    }
    arrays = {name: listed(table, side(rng, 19, 256), -1) for name, table in tables.items()}
    arrays["positions_of_13_in_16"] = np.array([kept(16).index(c) for c in kept(13)], dtype=np.int16)
    return Made({"hyper_parameters": {}, "tolerance": "exact"}, {**_some(rng, arrays)})


def palette_file(ids: Array) -> bytes:
    """A PNG whose pixels are indices of colours."""
    image, stream = Image.fromarray(ids), io.BytesIO()
    image.putpalette([(7 * i + c) % 256 for i in range(256) for c in range(3)])
    image.save(stream, "PNG")
    return stream.getvalue()


def _wide_file(ids: Array) -> bytes:
    """A PNG of 16 bits, whose red is the class; the other colours are something else."""
    pixels = np.dstack([np.zeros_like(ids), ids[::-1] % 200, ids]).astype(np.uint16)
    return cv2.imencode(".png", pixels)[1].tobytes()


class _Encoding(NamedTuple):
    """How a data set's labels are kept: start of their names, table, file, ids beyond the table, and smaller sets."""

    prefix: str
    table: Callable[[], Table]
    file: Callable[[Array], bytes] | None
    strange: tuple[int, ...] = (36, 99, 200, 255)
    raw: str = "raw"
    also: dict[str, int] = {}  # noqa: RUF012
    dtype: type[np.unsignedinteger[Any]] = np.uint8


_ENCODINGS: tuple[tuple[str, _Encoding], ...] = (
    ("gta5", _Encoding("gta5", cityscapes, palette_file)),
    (
        "synthia",
        _Encoding(
            "synthia",
            _synthia,
            _wide_file,
            (40, 255, 259, 520, 65535),
            also={"fada16": 16},
            dtype=np.uint16,
        ),
    ),
    (
        "cityscapes",
        _Encoding(
            "cityscapes",
            cityscapes,
            image_file,
            also={"16class": 16, "13class": 13, "trainid_ignore_minus1": 19},
        ),
    ),
    (
        "mapillary_v1.2",
        _Encoding("mapillary_v12", lambda: _mapillary("hrda"), palette_file, also={"rein": 19}),
    ),
    (
        "mapillary_v2.0",
        _Encoding(
            "mapillary_v20", lambda: id_table("mapillary_v2.0", "classes", "train_id_derived"), palette_file
        ),
    ),
    ("bdd100k", _Encoding("bdd100k", lambda: {train: train for train in range(19)}, image_file)),
    (
        "bdd100k",
        _Encoding(
            "bdd100k",
            lambda: id_table("bdd100k", "label_ids_of_other_tasks", "train_id"),
            None,
            raw="raw_label_ids",
        ),
    ),
    ("acdc", _Encoding("acdc", cityscapes, image_file, raw="labelids")),
    ("synscapes", _Encoding("synscapes", cityscapes, image_file)),
    ("nthu", _Encoding("nthu", cityscapes, image_file, also={"trainid": 19})),
    (
        "camvid_segnet",
        _Encoding("camvid", lambda: id_table("camvid", "classes", "nearest_train_id"), image_file, (11,)),
    ),
)


def _mapillary(policy: str) -> Table:
    return id_table("mapillary_v1.2", "classes", f"train_id_{policy}")


def _raw(rng: Rng, encoding: _Encoding) -> Array:
    """Ids that occur and some that do not, in blocks."""
    ids = [*encoding.table(), *encoding.strange]
    size, block = (side(rng, 4, 12), side(rng, 4, 12)), side(rng, 1, 3)
    return rng.choice(ids, size).repeat(block, axis=0).astype(encoding.dtype)


def _entry(
    rng: Rng, dataset: str, encoding: _Encoding, files: dict[str, bytes]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """One pair of raw ids and their train ids, with a file where there is one."""
    number, raw, table = side(rng, 2, 99), _raw(rng, encoding), encoding.table()
    name = f"{encoding.prefix}_{number}"
    end = "13class" if dataset == "nthu" else "trainid"
    expected = mapped(raw, restricted(table, 13) if dataset == "nthu" else table).astype(np.uint8)
    arrays = {f"{name}_{encoding.raw}": raw, f"{name}_{end}": expected}
    for also, classes in encoding.also.items():
        policy = _mapillary("rein_ddb") if also == "rein" else table
        smaller = restricted(policy, classes)
        arrays[f"{name}_{also}"] = mapped(raw, smaller, -1 if also.endswith("minus1") else 255)
    entry: dict[str, Any] = {
        "dataset": dataset,
        "file": None,
        "raw": f"{name}_{encoding.raw}",
        "expected": f"{name}_{end}",
        "also": {f"{name}_{also}": "made up" for also in encoding.also},
    }
    if rng.integers(2):
        entry["expected_class_pixel_counts"] = counts(expected, range(19))
    if encoding.file:
        entry["file"] = f"files/{name}_{encoding.raw}.png"
        files[entry["file"]] = encoding.file(expected if encoding.raw == "labelids" else raw)
    return entry, arrays


def _official_pair(rng: Rng, files: dict[str, bytes]) -> dict[str, Any]:
    """Label ids and train ids, both in files."""
    raw = rng.integers(0, 34, (side(rng, 4, 20), side(rng, 4, 20))).astype(np.uint8)
    stem = f"files/ulm_{side(rng, 0, 99):06d}_000019_gtFine"
    names = {"raw_file": f"{stem}_labelIds.png", "expected_file": f"{stem}_labelTrainIds.png"}
    maps = raw, mapped(raw, cityscapes()).astype(np.uint8)
    files |= {file: image_file(ids) for file, ids in zip(names.values(), maps, strict=True)}
    return {"dataset": "cityscapes", **names, "expected_class_pixel_counts": counts(maps[1], range(19))}


@maker("label_mapping")
def label_mapping(rng: Rng) -> MadeFolder:
    """Other maps, sizes, numbers in names, and sets of files."""
    files: dict[str, bytes] = {}
    cases, arrays = [_official_pair(rng, files)], {}
    for dataset, encoding in _ENCODINGS:
        if rng.random() < 0.8:
            entry, found = _entry(rng, dataset, encoding, files)
            cases.append(entry)
            arrays |= found
    manifest = {"note": "made up", "cases": [cases[i] for i in rng.permutation(len(cases))]}
    return MadeFolder({"manifest.json": manifest, "label_mapping.npz": arrays, **files})
