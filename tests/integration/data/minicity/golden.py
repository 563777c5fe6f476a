"""Records what images of MiniCity look like.

After a change of VERSION: `python tests/integration/data/minicity/golden.py`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from adaptbench.data.minicity import VERSION, WorldSpec, draw_image

FILE = Path(__file__).with_name("golden.json")
CASES = [
    (dataset, split, index, dials)
    for dataset, split in (
        ("gta5", "all"),
        ("gta5", "heldout"),
        ("cityscapes", "train"),
        ("cityscapes", "val"),
        ("synthia", "all"),
        ("synscapes", "all"),
        ("acdc", "val"),
        ("dark_zurich", "train_twilight"),
        ("dark_zurich", "val"),
        ("bdd100k", "val"),
        ("mapillary", "validation"),
        ("crosscity", "rio_test"),
        ("crosscity", "tokyo_train"),
    )
    for index, dials in (
        (0, {}),
        (7, {}),
        (199, {"gap": 0.5, "imbalance": 0.0}),
        (3, {"small_objects": 0.0, "seed": 9}),
    )
]


def observe(dataset: str, split: str, index: int, dials: dict[str, Any]) -> dict[str, Any]:
    """Hash of the label array, and the image reduced to 16 x 8 pixels."""
    image, label = draw_image(WorldSpec(**dials), dataset, split, index)
    small = cv2.resize(image.astype(np.float32), (16, 8), interpolation=cv2.INTER_AREA)
    digest = hashlib.sha256(repr(label.shape).encode() + label.tobytes()).hexdigest()[:16]
    return {"label": digest, "image": np.round(small, 1).ravel().astype(float).round(1).tolist()}


def record() -> None:
    """Writes golden.json."""
    cases = [{"case": list(case), **observe(*case)} for case in CASES]
    lines = ",\n".join(json.dumps(case) for case in cases)
    FILE.write_text(f'{{"version": {VERSION}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    record()
