"""What options of several verbs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from adaptbench.contracts.profiles import ProfileName
from adaptbench.errors import UsageError

Flag = tyro.conf.FlagCreatePairsOff[bool]


def words(metavar: str, help: str | None = None) -> Any:
    """How --help shows an option whose default is that it is absent."""
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint="")


def require_positive(command: object, *names: str) -> None:
    """Raises UsageError unless the numbers that are given with these options are at least 1."""
    for name in names:
        value = getattr(command, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: give at least 1.")


# Options that say the same wherever they stand.
Out = Annotated[Path, tyro.conf.arg(help="Results folder.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="auto takes the GPU where there is one.")
]
Json = Annotated[Flag, tyro.conf.arg(help="Print JSON for programs, and notes to stderr.")]
DataRoot = Annotated[Path | None, words("PATH", "Parent folder of official datasets.")]
DataPath = Annotated[
    tuple[str, ...], words("DATASET=PATH ...", "Folder of single datasets, beside the root.")
]
ImageCache = Annotated[
    Path | None,
    words(
        "DIR", "Keep decoded training images in this folder, and read them from it; numbers stay the same."
    ),
]
CheckpointProfile = Annotated[
    ProfileName | None,
    words(
        "{mini,small,paper}",
        "Size of images and windows; by default paper for imports and its own for a run.",
    ),
]


@dataclass(frozen=True)
class Tracking:
    """Runs of Weights & Biases and TensorBoard."""

    wandb: Literal["offline", "online", "disabled"] = "disabled"
    """One Weights & Biases run per job, sent as it trains, or kept in OUT/wandb for wandb sync (no account needed)."""
    wandb_project: Annotated[str | None, words("PROJECT")] = None
    """By default that of WANDB_PROJECT, or adaptbench."""
    wandb_entity: Annotated[str | None, words("ENTITY")] = None
    """Whose project it is, by default yours."""
    wandb_group: Annotated[str | None, words("GROUP")] = None
    """Group of the runs, by default their benchmark."""
    wandb_tags: Annotated[tuple[str, ...], words("TAG ...")] = ()
    """Further tags of the runs."""
    tensorboard: Flag = False
    """Event files for TensorBoard, in OUT/tensorboard."""


#: Its flags have no prefix and a section of their own in --help.
TrackingFlags = Annotated[Tracking, tyro.conf.arg(name="")]

NO_TRACKING = Tracking()
