"""One training step at full size: seconds and peak memory of ours, and of the order of the reference.

    python benchmarks/speed/full_size_step.py
    python benchmarks/speed/full_size_step.py --device cuda --dtype bfloat16 --steps 10

Every step runs in a process of its own, with random weights and images: `test_hrda_step` says what the three steps
are and shows, in profile mini, that their losses and gradients are equal. Seconds are those of the fastest step; on
a GPU, where the first step also tunes kernels, ask for several. CPU seconds are those of all threads together: on a
busy machine compare these, with --threads 1, since waiting threads count. Memory is the peak of the process (CPU) or
of the GPU's tensors. bfloat16 means autocast, with weights in float32. Numbers in brackets are ratios to the first row.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("ours", "pass_by_pass", "as_published")


def main() -> None:
    options = parser().parse_args()
    if options.measure:
        print(json.dumps(measure(options)))  # noqa: T201
        return
    print(f"{options.method}, profile {options.profile}, {options.device}, {options.dtype}")  # noqa: T201
    first: Mapping[str, float] | None = None
    for name in options.only or STEPS:
        found = in_a_process(name)
        first = first or found
        columns = (("seconds", "s"), ("cpu_seconds", "CPU s"), ("peak_gib", "GiB"))
        cells = [f"{found[key]:8.2f} {unit} ({found[key] / first[key]:.2f})" for key, unit in columns]
        print(f"{name:13}", *cells, f" loss {found['loss']:.6f}", flush=True)  # noqa: T201


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--method", default="hrda", choices=("daformer", "hrda"))
    arguments.add_argument("--profile", default="paper", choices=("mini", "paper"))
    arguments.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    arguments.add_argument("--threads", type=int, help="CPU threads; by default one per core")
    arguments.add_argument("--steps", type=int, default=1, help="steps that are run; the fastest is reported")
    arguments.add_argument("--only", nargs="+", choices=STEPS, help="steps to measure; by default all")
    arguments.add_argument("--activation-checkpointing", action="store_true", help="as of run_all.py")
    arguments.add_argument("--measure", choices=STEPS, help=argparse.SUPPRESS)
    return arguments


def in_a_process(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace) -> dict[str, float]:
    sys.path.insert(0, str(ROOT))
    import torch
    from problem import new_batch, new_method
    from restated import as_published, pass_by_pass, restate_networks

    from adaptbench import networks
    from adaptbench.execution.launch import freed_memory, processes

    processes.fix_threads(options.threads or torch.get_num_threads())
    freed_memory.keep()
    device = torch.device(options.device)
    method = new_method(options.method, options.profile).to(device)
    if options.activation_checkpointing:
        networks.checkpoint_activations(method.student)
    if options.measure == "as_published":
        restate_networks(method)
    step: Callable[..., Any] = {
        "ours": type(method).train_step,
        "pass_by_pass": pass_by_pass,
        "as_published": as_published,
    }[options.measure]
    batch, optimizers = new_batch(method, device), method.optimizers()
    times = []
    for _ in range(options.steps):
        torch.manual_seed(0)
        with precision(options):
            elapsed, log = timed(lambda: step(method, batch, optimizers), device)
        times.append(elapsed)
    seconds, cpu_seconds = min(times)
    loss = float(log["mix.loss_seg"])
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gib": peak_gib(device), "loss": loss}


def precision(options: argparse.Namespace) -> AbstractContextManager[Any]:
    import torch

    if options.dtype == "float32":
        return nullcontext()
    return torch.autocast(options.device, dtype=torch.bfloat16)


def timed(work: Callable[[], Any], device: Any) -> tuple[tuple[float, float], Any]:
    """Seconds and CPU seconds of all threads, and the result."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    wait()
    started, used = time.perf_counter(), time.process_time()
    result = work()
    wait()
    return (time.perf_counter() - started, time.process_time() - used), result


def peak_gib(device: Any) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
