"""The flags of every verb, and the exit statuses. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from adaptbench.benchmark import CheckpointRule
from adaptbench.protocols import DEFAULT

EXIT_UNFINISHED = 1
EXIT_USAGE = 2

Flag = tyro.conf.FlagCreatePairsOff[bool]


def _words(metavar: str) -> Any:
    """How --help shows an option whose default is that it is absent."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True)
class Tracking:
    """Runs of Weights & Biases and TensorBoard."""

    wandb: Literal["offline", "online", "disabled"] = "disabled"
    """One Weights & Biases run per job, sent as it trains, or kept in OUT/wandb for wandb sync (no account needed)."""
    wandb_project: Annotated[str | None, _words("PROJECT")] = None
    """By default that of WANDB_PROJECT, or adaptbench."""
    wandb_entity: Annotated[str | None, _words("ENTITY")] = None
    """Whose project it is, by default yours."""
    wandb_group: Annotated[str | None, _words("GROUP")] = None
    """Group of the runs, by default their benchmark."""
    wandb_tags: Annotated[tuple[str, ...], _words("TAG ...")] = ()
    """Further tags of the runs."""
    tensorboard: Flag = False
    """Event files for TensorBoard, in OUT/tensorboard."""


#: Its flags have no prefix and a section of their own in --help.
_Tracking = Annotated[Tracking, tyro.conf.arg(name="")]


@dataclass(frozen=True)
class Run:
    """Train, score, rank methods. Other verbs: ls, report, compare, predict, submit and more; see the README."""

    methods: Annotated[tuple[str, ...] | None, _words("METHOD ...")] = None
    """Methods, or 'all', which is the default."""
    benchmarks: Annotated[tuple[str, ...] | None, _words("BENCHMARK ...")] = None
    """Benchmarks, by default gta5_to_cityscapes or those of the study; minicity/NAME means generated data, which is
    what profile mini uses anyway."""
    study: Annotated[str | None, _words("STUDY")] = None
    """Run all variants of an ablation study in the place of methods, and compare them with what its paper printed."""
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="SEED ...")] = (0,)
    """One job per seed."""
    networks: Annotated[tuple[str, ...] | None, _words("NETWORK ...")] = None
    """One job per network, for every method; by default the network that its paper has, in mini its small stand-in."""
    profile: Literal["mini", "paper"] = "mini"
    """mini: minutes on two CPU cores. paper: published sizes and hyper-parameters."""
    data: Annotated[Literal["generated", "official"] | None, _words("{generated,official}")] = None
    """Where data comes from; by default generated in mini and official in paper."""
    data_root: Annotated[Path | None, _words("PATH")] = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], _words("DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    out: Path = Path("results")
    """Folder for runs, stages and leaderboards."""
    jobs: Annotated[int | None, _words("N")] = None
    """Jobs at once; by default cores divided by the threads of the profile, and on GPUs one on each."""
    timeout: Annotated[str | None, _words("DURATION")] = None
    """Longest time that a job may run now, like 2h, 1h30m, 90m or 45s; then it saves and stops, the others go on, and
    the same command goes on with it. By default there is none."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    set: Annotated[tuple[str, ...], _words("KEY=VALUE ...")] = ()
    """Settings of all selected methods (KEY), of one (METHOD.KEY), or of the generated world (minicity.DIAL)."""
    limit: Annotated[int | None, _words("ITERATIONS")] = None
    """Smoke run of this many iterations and few images: never ranked."""
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """How numbers are made: ours (adaptbench), or as a paper made its own (as-published:fada, :intrada, :ehtdi, :hrda);
    ls protocols says how they differ. Every protocol has a board of its own."""
    checkpoint: Annotated[
        CheckpointRule | None, _words("{last,oracle-best,entropy,infomax,snd,agreement}")
    ] = None
    """Which weights are scored: by default the last iterate, or what the protocol says. oracle-best: the best of 20
    snapshots on the target labels that are scored, a rule of several papers; such rows are marked as oracles. The
    others choose without labels, by the predictions on the target's training pictures: certainty (entropy), mutual
    information (infomax), soft neighbourhood density (snd), agreement of student and teacher. Every rule has a board
    of its own."""
    debug_pictures: Annotated[int | None, _words("ITERATIONS")] = None
    """Draw what a training step made, every so many iterations, into the job's folder debug/."""
    activation_checkpointing: Flag = False
    """Train MiT encoders with less memory and more time: what a block computed is computed again when its gradient is
    due. The numbers stay the same."""
    dry_run: Flag = False
    """Show the plan, with time and memory as far as finished runs of OUT tell, and stop."""
    force: Flag = False
    """Run again what is finished, and from the beginning what is not."""
    only_failed: Flag = False
    """Of the plan, run only the jobs that failed, were interrupted or ran out of time; with --force from their
    beginning."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods, datasets, benchmarks and studies."""
    tracking: _Tracking = Tracking()


@dataclass(frozen=True)
class Import:
    """Take over a published checkpoint: converted, checked against the network, and kept for evaluate."""

    file: Annotated[Path, tyro.conf.Positional]
    """The checkpoint: .pth, .pt, .bin or .safetensors."""
    method: Annotated[str, tyro.conf.arg(metavar="METHOD")]
    """Whose network it is."""
    weights: Annotated[Literal["student", "teacher"] | None, _words("{student,teacher}")] = None
    """Which network of the file; by default the one that the papers score, for most methods the student."""
    network: Annotated[str | None, _words("NETWORK")] = None
    """Network of the method, if not its published one."""
    set: Annotated[tuple[str, ...], _words("KEY=VALUE ...")] = ()
    """Settings that differ from the method's defaults, in full-size pixels."""
    classes: Annotated[str, tyro.conf.arg(metavar="CLASS_SET")] = "cityscapes19"
    """Class set of the network's logits."""
    trust_pickle: Flag = False
    """Also read files that run code when they are read; only if you trust whoever made them."""
    name: Annotated[str | None, _words("NAME")] = None
    """Under which to keep it; by default made from method and file."""
    out: Path = Path("results")
    """Results folder."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods."""


@dataclass(frozen=True)
class Evaluate:
    """Score imported weights, or finished runs, on every labelled split that is found."""

    checkpoints: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Names of imports, or folders of imports or of finished runs."""
    benchmarks: Annotated[tuple[str, ...], _words("BENCHMARK ...")] = ()
    """Only the splits that these benchmarks score; by default every labelled split, in generated worlds every one that
    any benchmark scores."""
    profile: Annotated[Literal["mini", "paper"] | None, _words("{mini,paper}")] = None
    """Size of pictures and windows; by default paper for imports and its own for a run."""
    data: Annotated[Literal["generated", "official"] | None, _words("{generated,official}")] = None
    """Where data comes from; by default official in paper and generated in mini."""
    data_root: Annotated[Path | None, _words("PATH")] = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], _words("DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """Whose labels and mean count; ls protocols names them. A head of 19 of which 16 are averaged is imported with
    --classes cityscapes16of19."""
    out: Path = Path("results")
    """Results folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    limit: Annotated[int | None, _words("N")] = None
    """Smoke evaluation: 2 N pictures per split, at least 4; marked as such."""
    force: Flag = False
    """Score again what is scored already."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods, datasets and benchmarks."""


@dataclass(frozen=True)
class Predict:
    """Segment the pictures of a folder, which need no labels: ids, colours and confidence as PNG files."""

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Name of an import, or folder of an import or of a finished run."""
    images: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder with pictures, also in folders of it."""
    like: Annotated[str | None, _words("DATASET")] = None
    """Pictures are resized like those of this dataset; by default the one that the run is scored on, for imports
    cityscapes. Predictions have the size of the picture in any case."""
    name: Annotated[str | None, _words("NAME")] = None
    """Folder of the results; by default that of the pictures."""
    profile: Annotated[Literal["mini", "paper"] | None, _words("{mini,paper}")] = None
    """Size of pictures and windows; by default paper for imports and its own for a run."""
    out: Path = Path("results")
    """Results folder: predictions go to OUT/predictions/CHECKPOINT/NAME."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods and datasets."""


@dataclass(frozen=True)
class Export:
    """Write a network for other programs, checked against the network itself: safetensors and ONNX."""

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Name of an import, or folder of an import or of a finished run."""
    format: Annotated[
        tuple[Literal["safetensors", "onnx"], ...], tyro.conf.arg(metavar="{safetensors,onnx} ...")
    ] = ("safetensors",)
    """Which files. onnx needs the packages of pip install 'adaptbench[export]'."""
    like: Annotated[str | None, _words("DATASET")] = None
    """The ONNX graph takes pictures resized like those of this dataset; by default the one that the run is scored on,
    for imports cityscapes."""
    profile: Annotated[Literal["mini", "paper"] | None, _words("{mini,paper}")] = None
    """Size of pictures and windows; by default paper for imports and its own for a run."""
    out: Path = Path("results")
    """Results folder: files go to OUT/exports/CHECKPOINT."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods and datasets."""


@dataclass(frozen=True)
class Submit:
    """Predict the test pictures of a benchmark's server, and pack them as it wants them."""

    checkpoints: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME_OR_FOLDER")]
    """Names of imports, or folders of imports or of finished runs."""
    server: Annotated[
        Literal["cityscapes", "acdc", "dark_zurich", "bdd100k"], tyro.conf.arg(metavar="SERVER")
    ]
    """cityscapes, acdc, dark_zurich or bdd100k."""
    profile: Annotated[Literal["mini", "paper"] | None, _words("{mini,paper}")] = None
    """Size of pictures and windows; by default paper for imports and its own for a run."""
    data_root: Annotated[Path | None, _words("PATH")] = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], _words("DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    out: Path = Path("results")
    """Results folder: archives go to OUT/submissions."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods and datasets."""


@dataclass(frozen=True)
class Ls:
    """List methods, benchmarks, datasets, studies, profiles, protocols and runs."""

    what: Annotated[
        tuple[Literal["methods", "benchmarks", "datasets", "studies", "profiles", "protocols", "runs"], ...],
        tyro.conf.Positional,
    ] = ("methods", "benchmarks", "datasets", "studies", "profiles", "protocols", "runs")
    """What to list."""
    out: Path = Path("results")
    """Results folder whose runs are listed."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further plug-ins."""


@dataclass(frozen=True)
class Report:
    """Rebuild the leaderboards and the tables of studies from the records of finished runs."""

    out: Path = Path("results")
    """Results folder."""
    publish: Flag = False
    """Also update the committed results/minicity/leaderboard.md and .csv, the pages of results/published, and those
    that docs writes."""
    pictures: Flag = False
    """Also draw the leaderboards and strips of predictions."""
    page: Flag = False
    """Also write a web page with tables, charts, pictures and a page per run: OUT/leaderboards/page/index.html."""
    tracking: _Tracking = Tracking()


@dataclass(frozen=True)
class Analyse:
    """Look closer at finished runs: features (ccd), predictions near boundaries, calibration, other scores (views)."""

    what: Annotated[Literal["ccd", "boundary", "calibration", "views"], tyro.conf.Positional]
    """ccd: how compact the features of each class are, compared with how far other classes are away. boundary:
    boundary IoU, and mean IoU within bands around the true boundaries. calibration: expected calibration error,
    likelihood and Brier score. views: from the confusion matrices that runs keep, 16 and 13 of the classes under each
    published convention, scores per condition and city, accuracy, small objects, and the distribution over pictures."""
    methods: Annotated[tuple[str, ...], _words("METHOD ...")] = ()
    """Only runs of these methods."""
    benchmarks: Annotated[tuple[str, ...], _words("BENCHMARK ...")] = ()
    """Only runs on these benchmarks, named as in the leaderboard, for example minicity/gta5_to_cityscapes."""
    seeds: Annotated[tuple[int, ...], _words("SEED ...")] = ()
    """Only runs with these seeds."""
    limit: Annotated[int | None, _words("N")] = None
    """Look at the first N pictures only."""
    out: Path = Path("results")
    """Results folder."""


@dataclass(frozen=True)
class Compare:
    """Compare two methods, or two runs: differences per class, condition and image, and how sure they are."""

    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """A method, a row of the leaderboard as it is labelled there, a run's folder, or the start of a hash."""
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """What it is compared with."""
    benchmark: Annotated[str | None, _words("BENCHMARK")] = None
    """Which benchmark, if both were run on several."""
    any_protocol: Flag = False
    """Compare what was run under different protocols, as long as the scored pictures are the same."""
    out: Path = Path("results")
    """Results folder."""


@dataclass(frozen=True)
class Data:
    """Verify datasets file by file, or count their classes (which rare class sampling needs)."""

    action: Annotated[Literal["verify", "stats"], tyro.conf.Positional]
    """verify: counts, pairs, sizes, encodings and ids against the official release. stats: class statistics, counted
    once and kept in the cache."""
    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")] = ()
    """Datasets; by default all that are found."""
    data_root: Annotated[Path | None, _words("PATH")] = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], _words("DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    jobs: Annotated[int | None, _words("N")] = None
    """Processes at once; by default one per core."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further datasets."""


@dataclass(frozen=True)
class Cite:
    """Print BibTeX and data licences for what a table contains."""

    boards: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="BOARD ...")] = ()
    """Benchmarks of the results folder, by default all; published/KEY means a board of results/published."""
    out: Path = Path("results")
    """Results folder."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further plug-ins."""


@dataclass(frozen=True)
class Dashboard:
    """Make a workspace and a report in Weights & Biases that show the runs of a results folder."""

    project: Annotated[str, tyro.conf.arg(metavar="PROJECT")] = "adaptbench"
    """The project that run or report --wandb online has filled."""
    entity: Annotated[str | None, _words("ENTITY")] = None
    """Whose project it is, by default yours."""
    spec: Annotated[Path | None, _words("FILE")] = None
    """Write what would be sent to a file, and send nothing."""
    out: Path = Path("results")
    """Results folder."""


@dataclass(frozen=True)
class Contribute:
    """Pack finished runs for others: one zip per run, with its record and confusion matrices."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")]
    """Folders of finished runs, or results folders, which mean all of their runs."""
    to: Path = Path("contributions")
    """Folder for the zips."""


@dataclass(frozen=True)
class Merge:
    """Check contributed runs, recompute their scores, and add those that hold to a results folder."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ZIP ...")]
    """What contribute wrote."""
    out: Path = Path("results")
    """Results folder."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further methods and benchmarks."""


@dataclass(frozen=True)
class Docs:
    """Write the pages of methods and datasets in docs/ from what the plug-ins say and results/ holds."""

    check: Flag = False
    """Write nothing; say which pages are not what they would be."""


@dataclass(frozen=True)
class Doctor:
    """Check versions, GPU, disk and data."""

    data_root: Annotated[Path | None, _words("PATH")] = None
    """Parent folder of official datasets."""
    data_path: Annotated[tuple[str, ...], _words("DATASET=PATH ...")] = ()
    """Folder of single datasets, beside the root."""
    out: Path = Path("results")
    """Results folder."""
    plugins: Annotated[tuple[Path, ...], _words("PATH ...")] = ()
    """Files or folders with further plug-ins."""


#: A verb is a class of this file, in small letters, and a module of `adaptbench.commands`.
Command = (
    Run
    | Import
    | Evaluate
    | Predict
    | Export
    | Submit
    | Data
    | Ls
    | Report
    | Analyse
    | Compare
    | Cite
    | Contribute
    | Merge
    | Dashboard
    | Docs
    | Doctor
)
