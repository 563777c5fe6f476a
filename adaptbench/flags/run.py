"""The flags of run, which is the verb when none is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from adaptbench.contracts.benchmark import CheckpointRule
from adaptbench.contracts.keeping import KEEP_ALL, KeepWeights
from adaptbench.contracts.precision import Precision
from adaptbench.contracts.profiles import ProfileName
from adaptbench.contracts.protocols import DEFAULT
from adaptbench.flags.options import (
    NO_TRACKING,
    DataPath,
    DataRoot,
    Device,
    Flag,
    ImageCache,
    TrackingFlags,
    words,
)


@dataclass(frozen=True)
class Run:
    """Train, score and rank methods: the verb where none is named."""

    examples: ClassVar[tuple[str, ...]] = (
        "--methods source_only dacs oracle --seeds 0 1 2",
        "--study hrda/components --dry-run",
        "--config experiment.yaml --seeds 3 4",
    )

    config: Annotated[Path | None, words("FILE.yaml")] = None
    """Read these flags from a YAML file; those of the command line go before it. See docs/command-line.md."""
    write_config: Annotated[Path | None, words("FILE.yaml")] = None
    """Write these flags to a YAML file for --config; with --dry-run, that is all."""
    methods: Annotated[tuple[str, ...] | None, words("METHOD ...")] = None
    """Methods, or 'all', which is the default and asks before it starts."""
    benchmarks: Annotated[tuple[str, ...] | None, words("BENCHMARK ...")] = None
    """Benchmarks, by default gta5_to_cityscapes or those of the study; minicity/NAME means generated data, which is
    what profile mini uses anyway."""
    study: Annotated[str | None, words("STUDY")] = None
    """Run all variants of an ablation study in the place of methods, and compare them with what its paper printed."""
    start: Annotated[str | None, words("IMPORT | FILE.py:FUNCTION")] = None
    """On a benchmark with a stream, start from this network in place of one that is trained: the name of an import, or
    the function of a network file (docs/network-files.md), then with --weights. Such rows are marked, not ranked."""
    weights: Annotated[Path | None, words("FILE")] = None
    """Weights of the network file that --start names: .pth, .pt, .bin or .safetensors, read without running code."""
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="SEED ...")] = (0,)
    """One job per seed."""
    networks: Annotated[tuple[str, ...] | None, words("NETWORK ...")] = None
    """One job per network, for every method; by default the network that its paper has, in mini its small stand-in."""
    profile: ProfileName = "mini"
    """mini: minutes on two CPU cores. small: photographs at half of the published lengths, small networks. paper:
    published sizes and hyper-parameters."""
    data: Annotated[Literal["generated", "official"] | None, words("{generated,official}")] = None
    """Where data comes from; by default generated in mini and official in small and paper."""
    data_root: DataRoot = None
    data_path: DataPath = ()
    out: Path = Path("results")
    """Folder for runs, stages and leaderboards."""
    jobs: Annotated[int | None, words("N")] = None
    """Jobs at once; by default cores divided by the threads of the profile, and on GPUs one on each."""
    timeout: Annotated[str | None, words("DURATION")] = None
    """Longest time that a job may run now, like 2h, 1h30m, 90m or 45s; then it saves and stops, the others go on, and
    the same command goes on with it. By default there is none."""
    device: Device = "auto"
    set: Annotated[tuple[str, ...], words("KEY=VALUE ...")] = ()
    """Settings of all selected methods (KEY), of one (METHOD.KEY), or of the generated world (minicity.DIAL)."""
    full: Flag = False
    """Generate and score the benchmark's further splits, too, like other cities and weather; a finished job is only
    scored again. Official ones are always scored where they are."""
    limit: Annotated[int | None, words("ITERATIONS")] = None
    """Smoke run of this many iterations and few images: never ranked."""
    protocol: Annotated[str, tyro.conf.arg(metavar="NAME")] = DEFAULT
    """How numbers are made: ours (adaptbench), or as a paper made its own (as-published:fada, :intrada, :ehtdi, :hrda);
    ls protocols says how they differ. Every protocol has a board of its own."""
    checkpoint: Annotated[
        CheckpointRule | None, words("{last,oracle-best,entropy,infomax,snd,agreement}")
    ] = None
    """Which weights are scored: by default the last iterate, or what the protocol says. oracle-best: the best of 20
    snapshots on the target labels that are scored, a rule of several papers; such rows are marked as oracles. The
    others choose without labels, by the predictions on the target's training images: certainty (entropy), mutual
    information (infomax), soft neighbourhood density (snd), agreement of student and teacher. Every rule has a board
    of its own."""
    debug_images: Annotated[int | None, words("ITERATIONS")] = None
    """Draw what a training step made, every so many iterations, into the job's folder debug/."""
    activation_checkpointing: Flag = False
    """Train MiT encoders with less memory and more time: what a block computed is computed again when its gradient is
    due. The numbers stay the same."""
    image_cache: ImageCache = None
    keep_weights: KeepWeights = KEEP_ALL
    """What stays of the weights of a job once it is done, and of pseudo-labels: all; last: the weights that are scored;
    none. What another job has been told to keep, or still needs, stays. Of jobs that are done already, see clean."""
    devices: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """GPUs (or on a CPU processes) that train one job together: each computes networks on its share of every batch, and
    the numbers are those of one device, to rounding. A training uses no more of them than its batches have images."""
    workers: Annotated[int | None, words("N")] = None
    """Processes that load data beside each training; by default as many as the profile wants (mini none, small 2, paper
    8) and find a core idle. Numbers stay the same."""
    precision: Annotated[Precision, words("{float32,tf32,bf16,fp16}")] = "float32"
    """Number format of the networks while they train, which makes other jobs; losses and averages of weights stay in
    float32, and so does every test. bf16 and fp16 save time and memory on GPUs that have them, tf32 time."""
    compile: Flag = False
    """Train with encoders, decoders and discriminators that torch's compiler has made faster, which makes other jobs;
    the first steps take minutes. A part that cannot be compiled is trained as it is, and its row says so."""
    launcher: Literal["local", "slurm"] = "local"
    """Who runs the jobs: this command, or workers that it submits to Slurm and that go on without it, see
    docs/clusters.md; with --dry-run their scripts are shown."""
    cluster: Annotated[Path | None, words("FILE.yaml")] = None
    """What workers ask Slurm for: partition, account, time and so on."""
    requeue: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """How often a worker that comes to its time limit on Slurm goes on with another one."""
    accumulate: Annotated[int, tyro.conf.arg(metavar="K")] = 1
    """Let networks compute the batches of a step in K parts, one after the other, whose gradients add up: less memory,
    more time, and the numbers of one step, to rounding, which makes other jobs. A network whose batch norms take
    statistics of the batch is computed whole."""
    dry_run: Flag = False
    """Show the plan, with time and memory as far as finished runs of OUT or committed boards tell, and stop."""
    yes: Annotated[Flag, tyro.conf.arg(aliases=["-y"])] = False
    """Train all methods without a question where neither methods nor a study are named."""
    force: Flag = False
    """Run again what is finished, and from the beginning what is not."""
    only_failed: Flag = False
    """Of the plan, run only the jobs that failed, were interrupted or ran out of time; with --force from their
    beginning."""
    plugins: Annotated[tuple[Path, ...], words("PATH ...")] = ()
    """Files or folders with further methods, datasets, benchmarks and studies."""
    tracking: TrackingFlags = NO_TRACKING
