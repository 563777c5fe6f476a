from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.contracts.dataset import Dataset

REPOSITORY = Path(__file__).resolve().parents[3]
RECORDED = REPOSITORY / "tests" / "conformance" / "cases" / "data"

Case = dict[str, Any]


@pytest.fixture(scope="session")
def dataset_class() -> Callable[[str], type[Dataset]]:
    registry = plugins.discover()

    def load(name: str) -> type[Dataset]:
        loaded: type[Dataset] = plugins.load(registry.find("dataset", name))
        return loaded

    return load


@pytest.fixture(scope="session")
def layouts() -> dict[str, Case]:
    cases: dict[str, Case] = json.loads((RECORDED / "layouts" / "layout_cases.json").read_text())["datasets"]
    return cases


@pytest.fixture
def real_camvid() -> Path:
    """The real photographs, where this machine has them."""
    base = Path(os.environ.get("ADAPTBENCH_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (base / "camvid" / "val").is_dir():
        pytest.skip("no CamVid; name its parent folder in ADAPTBENCH_TEST_DATA")
    return base / "camvid"


@pytest.fixture(scope="session")
def build() -> Callable[[Path, Case], Path]:
    """Creates every file of a layout case under a folder, images 8x4 pixels in the stated mode."""

    def write(root: Path, case: Case) -> Path:
        for file in case["files"]:
            path = root / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".png", ".jpg"):
                _save(path, file["mode"])
            else:
                path.write_bytes(b"anything")
        return root

    return write


@pytest.fixture(scope="session")
def pairs() -> Callable[[Dataset, str], list[tuple[str, str]]]:
    """Image and label paths of a split, relative to the dataset's root."""

    def relative(dataset: Dataset, split: str) -> list[tuple[str, str]]:
        root = dataset.root
        return [
            (sample.image.relative_to(root).as_posix(), sample.label.relative_to(root).as_posix())
            for sample in dataset.samples(split)
        ]

    return relative


def _save(path: Path, mode: str) -> None:
    """An image of sevens, 8x4 pixels."""
    if mode.startswith("RGB 16-bit"):
        wide = np.zeros((4, 8, 3), np.uint16)
        wide[..., 2] = 7  # OpenCV's last channel is red
        cv2.imwrite(str(path), wide)
        return
    kind = "I;16" if mode == "16-bit" else mode.split()[0]
    image = Image.fromarray(np.full((4, 8), 7, np.uint16 if kind == "I;16" else np.uint8))
    if kind == "P":
        image.putpalette(list(range(256)) * 3)
    (image if kind in ("P", "I;16") else image.convert(kind)).save(path)
