from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptbench.data.taxonomy import CAMVID11
from adaptbench.records.record import Record
from adaptbench.reporting.board import boards
from adaptbench.reporting.figures.leaderboard_image import leaderboard_image
from adaptbench.reporting.figures.strips import StripRow, prediction_strips

Maker = Callable[..., Record]


def strip_row(name: str = "a", size: tuple[int, int] = (36, 48)) -> StripRow:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    truth = rng.integers(0, 11, size, dtype=np.uint8)
    truth[:4] = 255
    return StripRow(name, image, truth, {"source_only": truth, "dacs": np.zeros(size, np.uint8)})


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def test_the_board_is_drawn_at_readme_width_and_again_alike(records: list[Record], tmp_path: Path) -> None:
    (board,) = boards(records)
    for name in ("one.png", "two.png"):
        leaderboard_image(board, tmp_path / name)
    image = opened(tmp_path / "one.png")
    assert 900 <= image.width <= 1250
    assert "Software" not in image.info
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("fields", [{"smoke": True}, {"method": "$x_"}, {"miou": 0.0}, {"miou": 100.0}])
def test_odd_boards_are_drawn(record: Maker, tmp_path: Path, fields: dict[str, object]) -> None:
    (board,) = boards([record(**fields)])
    leaderboard_image(board, tmp_path / "board.png")
    assert opened(tmp_path / "board.png").width > 900


def test_strips_show_the_class_colours(tmp_path: Path) -> None:
    row = strip_row()
    for name in ("one.png", "two.png"):
        prediction_strips([row, strip_row("b")], tmp_path / name, CAMVID11)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    image = np.asarray(opened(tmp_path / "one.png").convert("RGB"))
    assert 900 <= image.shape[1] <= 1250
    shown = {tuple(colour) for colour in np.unique(image.reshape(-1, 3), axis=0).tolist()}
    assert set(CAMVID11.palette) < shown


def test_strips_want_ids_of_the_classes(tmp_path: Path) -> None:
    row, path = strip_row(), tmp_path / "strips.png"
    with pytest.raises(ValueError, match=r"c: ids \[77\] are not in camvid11"):
        odd = np.full_like(row.truth, 77)
        prediction_strips([StripRow("c", row.image, row.truth, {"dacs": odd})], path, CAMVID11)
    assert not path.exists()
