"""The flags of bench."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from adaptbench.contracts.precision import Precision
from adaptbench.contracts.profiles import ProfileName
from adaptbench.flags.options import Device, Flag, Json, Out, words

_METHODS = ("source_only", "advent", "dacs", "daformer", "hrda", "mic", "fada", "ehtdi")


@dataclass(frozen=True)
class Bench:
    """Measure what a training step of methods costs here: seconds, memory and operations, on random images."""

    examples: ClassVar[tuple[str, ...]] = (
        "--methods dacs hrda",
        "--methods hrda --profile paper --device cuda --precision float32 tf32 bf16 --compile --steps 20",
    )

    methods: Annotated[tuple[str, ...], tyro.conf.arg(metavar="METHOD ...")] = _METHODS
    """Methods; of one with several trainings each has a line."""
    benchmark: Annotated[str, tyro.conf.arg(metavar="BENCHMARK")] = "gta5_to_cityscapes"
    """Gives the classes, and the sizes of images that are not cropped."""
    networks: Annotated[tuple[str, ...] | None, words("NETWORK ...")] = None
    """By default the one of each method."""
    profile: ProfileName = "mini"
    """Sizes of images, crops and batches."""
    precision: Annotated[tuple[Precision, ...], words("{float32,tf32,bf16,fp16} ...")] = ("float32",)
    """Number formats; ratios are to the first one."""
    compile: Flag = False
    """Measure each of them compiled, too, as of run."""
    set: Annotated[tuple[str, ...], words("KEY=VALUE ...")] = ()
    """Settings of all methods (KEY), or of one (METHOD.KEY), like batch_size or crop."""
    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 5
    """Steps that are measured, after one that is not; the median counts."""
    device: Device = "auto"
    activation_checkpointing: Flag = False
    """As of run."""
    accumulate: Annotated[int, tyro.conf.arg(metavar="K")] = 1
    """As of run."""
    out: Out = Path("results")
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further plug-ins."""
    json: Json = False
