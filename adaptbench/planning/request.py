"""What the user asked for, before anything is resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from adaptbench.contracts.benchmark import CheckpointRule
from adaptbench.contracts.keeping import KEEP_ALL, KeepWeights
from adaptbench.contracts.precision import FLOAT32, Precision
from adaptbench.contracts.profiles import Provenance
from adaptbench.contracts.protocols import DEFAULT
from adaptbench.errors import UsageError

if TYPE_CHECKING:  # it knows methods, and with them torch
    from adaptbench.planning.given import Given


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        methods: names, or ``all``; not looked at where a study is asked for.
        benchmarks: names; ``minicity/NAME`` means generated data. None at all = those of the study.
        networks: one job each; none = the one that each method has, or that is set.
        data: provenance; None = the profile's.
        data_paths: folder per dataset, beside the root.
        full: whether further splits of the benchmarks are generated to be scored beside.
        checkpoint: which weights are scored; None = as the protocol says.
        debug_images: iterations from one debug image to the next; None = none.
        activation_checkpointing: whether encoders that can do it recompute their activations.
        image_cache: folder in which decoded images are kept; None = they are not.
        keep_weights: what stays of the stages of a job once it is done.
        devices: processes that train one job together, each on a device of its own.
        precision: number format of the networks while they train.
        compiled: whether the networks are compiled then.
        elsewhere: whether jobs will be run on other machines than this one.
        accumulate: parts in which they compute every batch of a step, one after the other.
        given: the network that all jobs start from, in the place of one that they train; None = they train one.
    """

    methods: Sequence[str] = ("all",)
    benchmarks: Sequence[str] = ("gta5_to_cityscapes",)
    seeds: Sequence[int] = (0,)
    networks: Sequence[str] = ()
    profile: str = "mini"
    data: Provenance | None = None
    data_root: Path | None = None
    data_paths: Mapping[str, Path] = field(default_factory=dict)
    out: Path = Path("results")
    settings: Sequence[str] = ()
    full: bool = False
    limit: int | None = None
    protocol: str = DEFAULT
    checkpoint: CheckpointRule | None = None
    debug_images: int | None = None
    activation_checkpointing: bool = False
    image_cache: Path | None = None
    keep_weights: KeepWeights = KEEP_ALL
    devices: int = 1
    precision: Precision = FLOAT32
    compiled: bool = False
    accumulate: int = 1
    device: str = "auto"
    elsewhere: bool = False
    plugins: Sequence[Path] = ()
    study: str | None = None
    given: Given | None = None

    def __post_init__(self) -> None:
        """Raises UsageError where two of the options exclude each other."""
        if self.compiled and self.devices > 1:
            raise UsageError(
                "--compile: parts that several devices share are not compiled. Leave it or --devices out."
            )
        if self.compiled and self.accumulate > 1:
            raise UsageError(
                "--compile: networks that compute in parts are not compiled. Leave it or --accumulate out."
            )
        if self.devices > 1 and self.accumulate > 1:
            raise UsageError(
                "--accumulate: what several devices share is not computed in parts as well. Leave it or --devices out."
            )
        idle = {
            "--study": self.study is not None,
            "--networks": bool(self.networks),
            "--precision": self.precision != FLOAT32,
            "--compile": self.compiled,
            "--accumulate": self.accumulate > 1,
            "--devices": self.devices > 1,
        }
        for flag in (flag for flag, asked in idle.items() if asked and self.given is not None):
            raise UsageError(f"--start: the network is given, and nothing is trained. Leave {flag} out.")


def parse_paths(texts: Sequence[str]) -> dict[str, Path]:
    """``DATASET=PATH`` options as a mapping; a UsageError for any other form."""
    paths = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not separator or not name or not path:
            raise UsageError(f"--data-path {text!r}: expected DATASET=PATH, for example gta5=/data/gta5.")
        paths[name] = Path(path).expanduser()
    return paths
