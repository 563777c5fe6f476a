"""Runs in Weights & Biases, online or in a local folder that `wandb sync` uploads.

The library keeps every run on disk, too, while it sends it. An offline run is written anew as a whole when its job goes
on, since all that a job has written is still there, and replaces the earlier one, so that a sync uploads one per job.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adaptbench.data.taxonomy import CLASS_SETS, IGNORE
from adaptbench.errors import UsageError
from adaptbench.records.confusion_files import matrices_file
from adaptbench.records.record import Score
from adaptbench.reporting.board import Board
from adaptbench.reporting.board_columns import entries, tracked_columns
from adaptbench.reporting.columns import Column
from adaptbench.reporting.table import Table
from adaptbench.tracking.content import Finished, Identity, summary
from adaptbench.tracking.images import Shown, shown

if TYPE_CHECKING:
    import wandb

Mode = Literal["online", "offline"]

#: What is not sent this long after a run's end is left to `wandb sync`. Units: seconds.
FINISH_SECONDS = 60.0
#: How long a server is waited for before runs are kept offline. Units: seconds.
INIT_SECONDS = 30.0
#: The chart that the web application has for confusion matrices.
_CONFUSION_CHART = "wandb/confusion_matrix/v1"


@dataclass(frozen=True)
class Project:
    """Where runs go, and what users say about them: a group in place of their benchmarks, and further tags."""

    mode: Mode
    name: str = "adaptbench"
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise UsageError(
                f"--wandb-project {self.name!r}: expected a name without slashes. See --wandb-entity."
            )


class WandbTracker:
    """One run per job, called by the job's hash, and one called ``leaderboard``."""

    name = "W&B"

    def __init__(self, project: Project, out: Path) -> None:
        self.project = project
        self.folder = Path(os.environ.get("WANDB_DIR") or out / "wandb") / project.name
        self.url = ""

    def open(self, identity: Identity) -> WandbRun:
        """The job's run; one that is there goes on."""
        return WandbRun(
            self,
            identity.job_hash,
            name=identity.name,
            group=self.project.group or identity.benchmark,
            job_type=identity.method,
            tags=list(self.project.tags),
            config=dict(identity.config),
        )

    def leaderboard(self, boards: Sequence[Board]) -> None:
        """A run with the ranked table of every board."""
        run = WandbRun(
            self, "leaderboard", name="leaderboard", job_type="leaderboard", tags=list(self.project.tags)
        )
        tables = {
            key: Table(tracked_columns(board), entries(board, board.all_rows)).to_wandb()
            for key, board in table_names(boards).items()
        }
        if tables:
            run.put(tables)
        run.close(ok=True)

    def keep_offline(self) -> None:
        """From here on nothing is sent. The library's own process is ended, since it still holds what was begun."""
        import wandb

        self.project = replace(self.project, mode="offline")
        with contextlib.suppress(Exception):  # it complains of the server once more
            wandb.teardown(exit_code=1)

    def kept(self, run_id: str) -> list[Path]:
        """Folders of offline runs; the library adds a number to a name that is there already."""
        return list((self.folder / "wandb").glob(f"offline-run-*-{run_id}*"))


class WandbRun:
    """An open run."""

    def __init__(self, tracker: WandbTracker, run_id: str, **described: Any) -> None:
        import wandb

        project = tracker.project
        tracker.folder.mkdir(parents=True, exist_ok=True)
        self._replaced = tracker.kept(run_id)
        self._run: Any = wandb.init(
            project=project.name,
            entity=project.entity,
            dir=str(tracker.folder),
            id=run_id,
            resume="allow",
            reinit="create_new",
            mode=project.mode,
            settings=_settings(),
            **described,
        )
        self._offline = project.mode == "offline"
        tracker.url = "" if self._offline else self._run.project_url or ""

    @property
    def step(self) -> int:
        """The first step that is not there yet: a run that goes on has the earlier ones."""
        return int(self._run.step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One line of the training curve."""
        self._run.log({f"train/{key}": value for key, value in values.items()}, step=step)

    def put(self, content: Mapping[str, Any]) -> None:
        """Tables and images, as the next step."""
        self._run.log(dict(content))

    def complete(self, finished: Finished) -> None:
        """Scores, tables, images and files of the finished job."""
        self._run.config.update(finished.config, allow_val_change=True)
        self._run.tags = tuple(dict.fromkeys([*finished.tags, *(self._run.tags or ())]))
        self.put(_content(finished))
        self._run.summary.update(summary(finished.record))
        self._run.log_artifact(_artifact(finished))

    def close(self, ok: bool) -> None:
        """Ends the run. Of an offline run the earlier copies go."""
        self._run.finish(exit_code=0 if ok else 1)
        if self._offline:
            for folder in self._replaced:
                shutil.rmtree(folder, ignore_errors=True)


def _settings() -> wandb.Settings:
    """No terminal output, and no facts about this process: the record holds those of the one that trained."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_SECONDS)),
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _content(finished: Finished) -> dict[str, Any]:
    """IoU per class as a table; per split the confusion matrix and the kept predictions."""
    import wandb

    found: dict[str, Any] = {"classes": _class_table(finished.record.scores).to_wandb()}
    for score in finished.record.scores:
        matrix, classes = finished.confusion(score), CLASS_SETS.get(score.class_set)
        if matrix is not None:
            names = list(score.iou)
            cells = [[t, p, int(matrix[i, j])] for i, t in enumerate(names) for j, p in enumerate(names)]
            table = wandb.Table(columns=["Actual", "Predicted", "nPredictions"], data=cells)
            fields = {column: column for column in table.columns}
            found[f"confusion/{score.split}"] = wandb.plot_table(_CONFUSION_CHART, table, fields)
        if classes is not None:
            labels = dict(enumerate(classes.classes)) | {IGNORE: "ignored"}
            images = [_image(one, labels) for one in shown(finished.folder, score)]
            found |= {f"predictions/{score.split}": images} if images else {}
    return found


def _class_table(scores: Sequence[Score]) -> Table[str]:
    """IoU per class and split."""
    names = list(dict.fromkeys(name for score in scores for name in score.iou))
    columns = [Column(f"IoU ({s.class_set}, {s.split})", s.iou.get, right=True) for s in scores]
    return Table([Column("class", str), *columns], names)


def _image(one: Shown, labels: Mapping[int, str]) -> wandb.Image:
    """The photograph, or where it is gone the prediction, with masks of prediction and ground truth."""
    import wandb

    maps = {"prediction": one.prediction, "ground truth": one.truth}
    masks = {
        title: {"mask_data": ids, "class_labels": dict(labels)}
        for title, ids in maps.items()
        if ids is not None
    }
    image = one.prediction if one.image is None else one.image
    return wandb.Image(image, caption=one.name, masks=masks)


def _artifact(finished: Finished) -> wandb.Artifact:
    """The record, its matrices and the scored weights. Files are named where they lie and not copied."""
    import wandb

    record, folder, ranked = finished.record, finished.folder, finished.record.scores[0]
    facts = {"miou": ranked.miou, "scored": ranked.split, "ranking_hash": record.ranking_hash}
    artifact = wandb.Artifact(f"{record.method}-{record.job_hash}", type="run", metadata=facts)
    kept = [folder / "record.json", *(matrices_file(folder, score.split) for score in record.scores)]
    files = {path.relative_to(folder).as_posix(): path for path in kept}
    files |= {"weights.safetensors": finished.weights} if finished.weights is not None else {}
    for name, path in files.items():
        if path.exists():
            artifact.add_file(str(path), name=name, policy="immutable", skip_cache=True)
    return artifact


def table_names(boards: Sequence[Board]) -> dict[str, Board]:
    """Keys of the leaderboard's tables; further protocols of a benchmark have their hash added."""
    found: dict[str, Board] = {}
    for board in boards:
        key = f"leaderboard/{board.benchmark}"
        found[f"{key} {board.ranking_hash[:8]}" if key in found else key] = board
    return found
