"""The flags of the verbs that work with trained networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from adaptbench.contracts.protocols import DEFAULT
from adaptbench.flags.options import CheckpointProfile, DataPath, DataRoot, Device, Flag, Out, words


@dataclass(frozen=True)
class Import:
    """Take over a published checkpoint: converted, checked against the network, and kept for evaluate."""

    examples: ClassVar[tuple[str, ...]] = (
        "hrda.pth --method hrda",
        "fada.pth --method fada --name fada-of-authors --trust-pickle",
    )

    file: Annotated[Path, tyro.conf.Positional]
    """The checkpoint: .pth, .pt, .bin or .safetensors."""
    method: Annotated[str, tyro.conf.arg(metavar="METHOD")]
    """Whose network it is."""
    weights: Annotated[Literal["student", "teacher"] | None, words("{student,teacher}")] = None
    """Which network of the file; by default the one that the papers score, for most methods the student."""
    network: Annotated[str | None, words("NETWORK")] = None
    """Network of the method, if not its published one."""
    set: Annotated[tuple[str, ...], words("KEY=VALUE ...")] = ()
    """Settings that differ from the method's defaults, in full-size pixels."""
    classes: Annotated[str, tyro.conf.arg(metavar="CLASS_SET")] = "cityscapes19"
    """Class set of the network's logits."""
    trust_pickle: Flag = False
    """Also read files that run code when they are read; only if you trust whoever made them."""
    name: Annotated[str | None, words("NAME")] = None
    """Under which to keep it; by default made from method and file."""
    out: Out = Path("results")
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods."""


@dataclass(frozen=True)
class Evaluate:
    """Score imported weights, finished runs, or a network of anybody, on every labelled split that is found."""

    examples: ClassVar[tuple[str, ...]] = (
        "hrda-hrda --data-root DATA",
        "results/runs/minicity/gta5_to_cityscapes/dacs/0-0123abcd",
        "--network-file docs/examples/espnet.py:camvid --weights espnet_p_2_q_8_camvid.pth --splits camvid/test "
        "--data-root DATA",
    )

    checkpoints: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Names of imports, or folders of imports or of finished runs."""
    network_file: Annotated[str | None, words("FILE.py:FUNCTION")] = None
    """In place of these a network that is none of ours: a function that returns it, with what is stated beside it
    (docs/network-files.md)."""
    weights: Annotated[Path | None, words("FILE")] = None
    """Weights of the network file: .pth, .pt, .bin or .safetensors, read without running code."""
    splits: Annotated[tuple[str, ...], words("DATASET/SPLIT ...")] = ()
    """Only these splits."""
    benchmarks: Annotated[tuple[str, ...], words("BENCHMARK ...")] = ()
    """Only the splits that these benchmarks score; by default every labelled split, in generated worlds every one that
    any benchmark scores."""
    profile: CheckpointProfile = None
    data: Annotated[Literal["generated", "official"] | None, words("{generated,official}")] = None
    """Where data comes from; by default generated in mini and official in small and paper."""
    data_root: DataRoot = None
    data_path: DataPath = ()
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """Whose labels and mean count; ls protocols names them. A head of 19 of which 16 are averaged is imported with
    --classes cityscapes16of19."""
    adapt: Annotated[str | None, words("METHOD")] = None
    """A method of test-time adaptation, like tent, norm_adapt or cotta: the network adapts to the images of each split,
    one after the other and without labels, as it predicts them (docs/weights.md, test-time adaptation)."""
    set: Annotated[tuple[str, ...], words("KEY=VALUE ...")] = ()
    """Settings of the adaptation, like learning_rate."""
    out: Out = Path("results")
    device: Device = "auto"
    limit: Annotated[int | None, words("N")] = None
    """Smoke evaluation: 2 N images per split, at least 4; marked as such."""
    force: Flag = False
    """Score again what is scored already."""
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods, datasets and benchmarks."""


@dataclass(frozen=True)
class Predict:
    """Segment the images of a folder, which need no labels: ids, colours and confidence as PNG files."""

    examples: ClassVar[tuple[str, ...]] = (
        "hrda-hrda --images PHOTOS",
        "results/runs/minicity/gta5_to_cityscapes/dacs/0-0123abcd --images PHOTOS --name trip",
    )

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Name of an import, or folder of an import or of a finished run."""
    images: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder with images, also in folders of it."""
    like: Annotated[str | None, words("DATASET")] = None
    """Images are resized like those of this dataset; by default the one that the run is scored on, for imports
    cityscapes. Predictions have the size of the image in any case."""
    name: Annotated[str | None, words("NAME")] = None
    """Folder of the results; by default that of the images."""
    profile: CheckpointProfile = None
    out: Path = Path("results")
    """Results folder: predictions go to OUT/predictions/CHECKPOINT/NAME."""
    device: Device = "auto"
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods and datasets."""


@dataclass(frozen=True)
class Export:
    """Write a network for other programs, checked against the network itself: safetensors and ONNX."""

    examples: ClassVar[tuple[str, ...]] = (
        "hrda-hrda",
        "hrda-hrda --format safetensors onnx --like cityscapes",
    )

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Name of an import, or folder of an import or of a finished run."""
    format: Annotated[
        tuple[Literal["safetensors", "onnx"], ...], tyro.conf.arg(metavar="{safetensors,onnx} ...")
    ] = ("safetensors",)
    """Which files. onnx needs the packages of pip install 'adaptbench[export]'."""
    like: Annotated[str | None, words("DATASET")] = None
    """The ONNX graph takes images resized like those of this dataset; by default the one that the run is scored on,
    for imports cityscapes."""
    profile: CheckpointProfile = None
    out: Path = Path("results")
    """Results folder: files go to OUT/exports/CHECKPOINT."""
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods and datasets."""


@dataclass(frozen=True)
class Submit:
    """Predict the test images of a benchmark's server, and pack them as it wants them."""

    examples: ClassVar[tuple[str, ...]] = (
        "hrda-hrda --server cityscapes --data-root DATA",
        "hrda-hrda --server acdc --data-path acdc=DIR",
    )

    checkpoints: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Names of imports, or folders of imports or of finished runs."""
    server: Annotated[
        Literal["cityscapes", "acdc", "dark_zurich", "bdd100k"], tyro.conf.arg(metavar="SERVER")
    ]
    """cityscapes, acdc, dark_zurich or bdd100k."""
    profile: CheckpointProfile = None
    data_root: DataRoot = None
    data_path: DataPath = ()
    out: Path = Path("results")
    """Results folder: archives go to OUT/submissions."""
    device: Device = "auto"
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods and datasets."""
