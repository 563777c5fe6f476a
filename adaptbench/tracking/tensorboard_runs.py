"""Runs for TensorBoard: one folder of event files per job, written anew as a whole when a job goes on."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import CLASS_SETS, ClassSet
from adaptbench.errors import UsageError
from adaptbench.records.jobspec import job_folder
from adaptbench.reporting.board import Board
from adaptbench.reporting.figures.canvas import plain_style
from adaptbench.reporting.figures.class_figures import confusion_image
from adaptbench.reporting.leaderboard import main_tables
from adaptbench.tracking.content import Finished, Identity, summary
from adaptbench.tracking.images import Shown, shown

_SEPARATOR = 4  # pixels between images


class TensorboardTracker:
    """``OUT/tensorboard``, laid out like ``OUT/runs``."""

    name = "TensorBoard"

    def __init__(self, out: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError(
                "--tensorboard needs the package tensorboard, which is not installed. "
                "Install it with: pip install 'adaptbench[tensorboard]'."
            )
        self.folder = out / "tensorboard"

    def open(self, identity: Identity) -> TensorboardRun:
        """The job's run; what an earlier one left is replaced."""
        place = job_folder(self.folder, identity.benchmark, identity.method, identity.seed, identity.job_hash)
        folder = self.folder / place.relative_to(self.folder / "runs")
        shutil.rmtree(folder, ignore_errors=True)
        return TensorboardRun(folder, identity.config)

    def leaderboard(self, boards: Sequence[Board]) -> None:
        """The leaderboards as text."""
        folder = self.folder / "leaderboard"
        shutil.rmtree(folder, ignore_errors=True)
        with _writer(folder) as writer:
            for board in boards:
                table = "\n\n".join(main_tables(board))
                writer.add_text(f"{board.benchmark}/{board.ranking_hash[:8]}", table)


class TensorboardRun:
    """An open run. Everything of the finished job stands at the last step."""

    step = 0

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._writer = _writer(folder)
        self._last = 0
        self._text("config", config)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One line of the training curve."""
        for key, value in values.items():
            self._writer.add_scalar(f"train/{key}", value, step)
        self._last = step

    def complete(self, finished: Finished) -> None:
        """Scores, costs, facts and images of the finished job."""
        for key, value in summary(finished.record).items():
            self._writer.add_scalar(key, value, self._last)
        self._text("record", finished.config)
        for score in finished.record.scores:
            classes = CLASS_SETS.get(score.class_set)
            if classes is None:
                continue
            for one in shown(finished.folder, score):
                strip = _strip(one, classes)
                self._writer.add_image(f"{score.split}/{one.name}", strip, self._last, dataformats="HWC")
            matrix = finished.confusion(score)
            if matrix is not None:
                with plain_style():
                    figure = confusion_image(matrix, classes.classes)
                self._writer.add_figure(f"confusion/{score.split}", figure, self._last)

    def close(self, ok: bool) -> None:
        """Flushes and closes the files."""
        self._writer.close()

    def _text(self, tag: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=1, sort_keys=True, default=str)
        self._writer.add_text(tag, "\n".join(f"    {line}" for line in text.splitlines()), self._last)


def _writer(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _strip(one: Shown, classes: ClassSet) -> npt.NDArray[np.uint8]:
    """Image, ground truth and prediction side by side, as far as they are there. Shape: ``(H, W, 3)`` uint8."""
    parts = [] if one.image is None else [one.image]
    parts += [classes.colours[ids] for ids in (one.truth, one.prediction) if ids is not None]
    gap = np.full((one.prediction.shape[0], _SEPARATOR, 3), 255, dtype=np.uint8)
    return np.hstack([image for part in parts for image in (part, gap)][:-1])
