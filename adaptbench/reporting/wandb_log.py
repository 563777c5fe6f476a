"""Records as runs of Weights & Biases, online or, where no account is set up, in a local folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adaptbench.errors import RunStateError, UsageError
from adaptbench.jobspec import job_folder
from adaptbench.reporting.record import Record

if TYPE_CHECKING:
    import wandb

#: Fields of a record that make up the configuration of its run.
_CONFIG = (
    "method",
    "method_version",
    "benchmark",
    "setting",
    "profile",
    "seed",
    "iterations",
    "oracle",
    "smoke",
    "settings_origin",
    "job_hash",
    "group_hash",
    "ranking_hash",
    "weights_sha256",
    "network",
    "settings",
    "overrides",
    "data",
    "ranking",
    "environment",
)


Mode = Literal["online", "offline", "disabled"]


@dataclass(frozen=True)
class Uploaded:
    """What was done.

    Attributes:
        mode: where the runs went.
        runs: number of runs.
        url: the project's page, when online.
        folder: where offline runs lie.
    """

    mode: Mode
    runs: int
    url: str
    folder: Path

    def __str__(self) -> str:
        if self.runs == 0:
            return "W&B: no finished runs."
        if self.mode == "disabled":
            return "W&B: nothing sent, WANDB_MODE is disabled."
        if self.mode == "online":
            return f"W&B: {self.runs} runs in {self.url}"
        return (
            f"W&B: {self.runs} runs kept offline in {self.folder}. To upload them: wandb login, then "
            f"wandb sync {self.folder / 'offline-run-*'}"
        )


def upload(records: Iterable[Record], out: Path, project: str) -> Uploaded:
    """Makes one W&B run of every record; doing so again updates it, since its id is the job's hash.

    WANDB_MODE decides whether anything is sent. Without it, runs are sent if an API key is set up and kept
    in ``OUT/wandb/PROJECT`` (or ``WANDB_DIR/PROJECT``) if not.

    Args:
        records: any number, in any order.
        out: the results folder they come from; the history is read from their job folders.
        project: ``PROJECT`` or ``ENTITY/PROJECT``.

    Raises:
        UsageError: not the name of a project, or W&B refuses.
        RunStateError: the folder for offline runs cannot be written.
    """
    import wandb

    entity, _, name = project.rpartition("/")
    if not name or "/" in entity:
        raise UsageError(f"--wandb {project!r}: expected PROJECT or ENTITY/PROJECT.")
    folder = Path(os.environ.get("WANDB_DIR") or out / "wandb") / name
    common = {"project": name, "entity": entity or None, "dir": str(folder)}
    found = Uploaded("offline", 0, "", folder / "wandb")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        keep_offline = "WANDB_MODE" not in os.environ and not _has_key()
        for record in records:
            earlier = list(found.folder.glob(f"offline-run-*-{record.job_hash}"))
            options = common | _options(record) | ({"mode": "offline"} if keep_offline else {})
            with wandb.init(**options, settings=_quiet()) as run:
                _fill(run, record, out)
                mode, url = _destination(run)
            if mode == "offline":
                _discard(earlier)
            found = Uploaded(mode, found.runs + 1, url, found.folder)
    except wandb.Error as error:
        raise UsageError(
            f"W&B refused: {error} Check WANDB_API_KEY and the project, or set WANDB_MODE=offline."
        ) from error
    except OSError as error:
        raise RunStateError(f"Cannot write W&B runs to {folder}: {error.strerror or error}.") from error
    return found


def _has_key() -> bool:
    """Whether W&B finds an API key (environment, settings, netrc). Asks neither the user nor the server."""
    import wandb

    return bool(wandb.login(prompt=False, verify=False))


def _destination(run: Any) -> tuple[Mode, str]:
    if run.disabled:
        return "disabled", ""
    return ("offline", "") if run.offline else ("online", run.project_url or "")


def _quiet() -> wandb.Settings:
    """No terminal output, and no facts about this process: the record holds those of the one that trained."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
    )


def _options(record: Record) -> dict[str, Any]:
    """Identity and description of a record's run."""
    marks = [record.profile, record.setting, *(["smoke"] if record.smoke else [])]
    return {
        "id": record.job_hash,
        "resume": "allow",
        "name": f"{record.method} seed {record.seed}",
        "group": record.method,
        "job_type": record.benchmark,
        "tags": list(dict.fromkeys([*record.tags, *marks])),
        "config": record.model_dump(mode="json", include=set(_CONFIG)),
    }


def _fill(run: Any, record: Record, out: Path) -> None:
    """History of the training, then scores and cost as the run's summary."""
    folder = job_folder(out, record.benchmark, record.method, record.seed, record.job_hash)
    classes = list(record.pseudo_labels.class_share) if record.pseudo_labels else []
    for step, values in history(folder / "metrics.jsonl", classes):
        if step >= run.step:  # a resumed run has the earlier ones
            run.log({f"train/{key}": value for key, value in values.items()}, step=step)
    run.summary.update(summary(record))


def summary(record: Record) -> dict[str, float]:
    """Every score under ``CLASS SET/SPLIT/...`` (percent; absent classes left out) and every cost."""
    found: dict[str, float] = {}
    for score in record.scores:
        prefix = f"{score.class_set}/{score.split}"
        found[f"{prefix}/mIoU"] = score.miou
        found[f"{prefix}/accuracy"] = score.accuracy
        found |= {f"{prefix}/IoU/{name}": iou for name, iou in score.iou.items() if iou is not None}
    cost = record.cost.model_dump(exclude={"device"})
    return found | {f"cost/{key}": value for key, value in cost.items()}


def history(path: Path, classes: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, float]]]:
    """Step and values of every line of a job's ``metrics.jsonl``; none where the file is gone.

    Iterations start at 0 in every stage; steps count on from stage to stage. A vector is a value per class.
    """
    offset, last = 0, -1
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        values: dict[str, Any] = json.loads(line)
        iteration = int(values.pop("iteration"))
        if offset + iteration <= last:
            offset = last + 1
        last = offset + iteration
        vectors = [key for key, value in values.items() if isinstance(value, list)]
        for key in vectors:
            values |= {f"{key}/{name}": v for name, v in zip(classes, values.pop(key), strict=False)}
        yield last, {key: value for key, value in values.items() if value is not None}


def _discard(folders: Iterable[Path]) -> None:
    """Deletes the offline runs that a new one of the same job replaces, so that a sync uploads one."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
