"""Hand-made records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from adaptbench.data.taxonomy import CAMVID11, CITYSCAPES19, ClassSet
from adaptbench.records.record import Cost, NetworkInfo, Record, Score

RecordMaker = Callable[..., Record]

_RANKING = {
    "setting": "uda",
    "class_set": "cityscapes19",
    "head_width": 19,
    "profile": "mini",
    "splits": ["cityscapes/val", "gta5/heldout"],
    "label_size": "native",
    "absent_classes": "labelled",
    "checkpoint": "last",
    "test_time_augmentation": "none",
    "data": {
        "cityscapes": {"provenance": "generated", "version": "1", "gap": 1.0},
        "gta5": {"provenance": "generated", "version": "1", "gap": 1.0},
    },
    "limit": None,
}


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def score(miou: float, split: str, classes: ClassSet = CITYSCAPES19, provenance: str = "generated") -> Score:
    """A score whose classes spread around ``miou``; the last but two does not occur."""
    iou: dict[str, float | None] = {
        name: min(100.0, max(0.0, miou + 40 * (0.5 - ((7 * i) % 19) / 19)))
        for i, name in enumerate(classes.classes)
    }
    iou[classes.classes[-3]] = None
    return Score.model_validate(
        {
            "split": split,
            "provenance": provenance,
            "class_set": classes.name,
            "images": 72,
            "miou": miou,
            "iou": iou,
            "accuracy": min(100.0, miou + 30),
        }
    )


def make_record(
    method: str = "dacs",
    miou: float = 40.0,
    seed: int = 0,
    *,
    tags: tuple[str, ...] = (),
    network: str = "deeplabv2-mini",
    overrides: dict[str, Any] | None = None,
    ranking: dict[str, Any] | None = None,
    further: dict[str, float] | None = None,
    **fields: Any,
) -> Record:
    """A record of mini gta5_to_cityscapes; hashes follow from what is given."""
    overrides = overrides or {}
    ranking = _RANKING | (ranking or {})
    group = digest(method, network, overrides, ranking, fields.get("settings"), fields.get("smoke"))
    base: dict[str, Any] = {
        "job_hash": digest(group, seed),
        "ranking_hash": digest(ranking),
        "ranking": ranking,
        "group_hash": group,
        "method": method,
        "method_title": method.upper(),
        "method_version": 1,
        "paper": None,
        "tags": list(tags),
        "oracle": "oracle" in tags,
        "smoke": False,
        "benchmark": "minicity/gta5_to_cityscapes",
        "benchmark_title": "GTA5 to Cityscapes in MiniCity",
        "setting": "uda",
        "profile": "mini",
        "seed": seed,
        "network": NetworkInfo(name=network, parameters=3_712_345, pretraining="none"),
        "iterations": 600,
        "settings": {"lr": 2.5e-4, **overrides},
        "settings_origin": "published",
        "overrides": overrides,
        "data": {"gta5": {"provenance": "generated"}, "cityscapes": {"provenance": "generated"}},
        "scores": [
            score(miou, "cityscapes/val"),
            *(score(value, split) for split, value in (further or {}).items()),
        ],
        "weights_sha256": digest("weights", group, seed),
        "cost": Cost(
            training_seconds=100.0 + seed, evaluation_seconds=9.5, peak_memory_mib=900.0 + seed, device="cpu"
        ),
        "environment": {"torch": "2.15.0"},
    }
    return Record.model_validate(base | fields)


def make_camvid_record(method: str = "dacs", miou: float = 40.0, seed: int = 0, **fields: Any) -> Record:
    """A record of minicity_to_camvid: generated source, real target."""
    data = {"gta5": {"provenance": "generated", "gap": 1.0}, "camvid": {"provenance": "official"}}
    base: dict[str, Any] = {
        "benchmark": "minicity_to_camvid",
        "benchmark_title": "MiniCity to CamVid",
        "ranking": {"splits": ["camvid/val"], "class_set": "camvid11", "head_width": 11, "data": data},
        "data": data,
        "scores": [score(miou, "camvid/val", CAMVID11, "official")],
    }
    return make_record(method, miou, seed, **(base | fields))


@pytest.fixture(scope="session")
def record() -> RecordMaker:
    return make_record


@pytest.fixture(scope="session")
def camvid_record() -> RecordMaker:
    return make_camvid_record


@pytest.fixture
def records() -> list[Record]:
    """Two methods and three controls over three seeds, with a second split."""
    means = {"dacs": 38.0, "fada": 35.5, "source_only": 27.0, "oracle": 52.0, "majority": 4.2}
    tags = {"source_only": ("control",), "oracle": ("oracle",), "majority": ("control",)}
    return [
        make_record(m, v + 1.5 * s, s, tags=tags.get(m, ()), further={"gta5/heldout": v + 20})
        for m, v in means.items()
        for s in (0, 1, 2)
    ]
