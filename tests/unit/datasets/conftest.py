from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptbench import plugins
from adaptbench.dataset import Dataset

REPOSITORY = Path(__file__).resolve().parents[3]
RECORDED = REPOSITORY / "tests" / "data"

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
    """Creates every file of a layout case under a folder, pictures 8x4 pixels in the stated mode."""

    def write(root: Path, case: Case) -> Path:
        for file in case["files"]:
            path = root / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                _picture(file["mode"].split()[0]).save(path)
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


def _picture(mode: str) -> Image.Image:
    picture = Image.fromarray(np.full((4, 8), 7, np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture.putpalette(list(range(256)) * 3)
    return picture if mode in ("P", "I;16") else picture.convert(mode)
