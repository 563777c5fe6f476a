"""The training loop: our iteration order on mmengine's optimiser wrappers, schedulers and hooks.

Everything that decides the future of a training is in its checkpoint, and every random draw is keyed by
(stage seed, iteration, purpose): a training that is killed and started again ends with the same bits.
"""

from __future__ import annotations

import json
import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import torch
from mmengine.hooks import Hook
from torch import Tensor

from adaptbench.contracts.method import Method
from adaptbench.contracts.precision import FLOAT32, Precision
from adaptbench.data.batch import Batch, Images
from adaptbench.data.stream import TrainingStream, batches
from adaptbench.draws import derive_seed
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.optim.optimizer import by_name
from adaptbench.ranks.group import ALONE, Ranks
from adaptbench.records.compilation import Compilation
from adaptbench.storage.atomic import append_text, write_text
from adaptbench.training import checkpoint, method_state
from adaptbench.training.accumulation import Accumulation
from adaptbench.training.class_shares import ClassShares
from adaptbench.training.divergence import DivergenceWatch
from adaptbench.training.energy import energy_meter
from adaptbench.training.precision import products_in, scaled, train_in
from adaptbench.training.sharing import share_work

if TYPE_CHECKING:
    from adaptbench.training.compilation import Compiler

#: Called with the iterations that are done, their total, and the last losses that were logged: sum, and by name.
Report: TypeAlias = Callable[[int, int, float | None, Mapping[str, float]], None]

AnyImages = TypeVar("AnyImages", bound=Images)


class TrainingLoop:
    """Trains ``method`` on ``stream`` and keeps its state in ``folder``.

    Hooks of mmengine are called at their usual points with this object in the place of the runner; it has
    ``iter``, ``max_iters``, ``epoch``, ``max_epochs``, ``model``, ``optim_wrapper``, ``param_schedulers``,
    ``logger``, ``work_dir``, ``rank`` and ``world_size``. What they add to ``outputs`` is logged.

    Args:
        method: what is trained.
        stream: its batches.
        folder: where ``checkpoint.safetensors`` and ``metrics.jsonl`` are kept.
        device: where the training runs.
        workers: data loading processes.
        checkpoint_every: iterations between two checkpoints.
        precision: number format of the method's networks.
        compiled: whether they are compiled, as far as they can be.
        accumulate: parts in which networks compute the batches of a step, one after the other.
        say: told what could not be compiled, or computed in parts, and why; None = the logger.
        log_every: iterations between two lines of ``metrics.jsonl``.
        hooks: further hooks beside those of the method.
        report: called after every iteration with (iterations done, total, loss, losses by name); losses are those of
            the last line of ``metrics.jsonl``, None and empty before there is one.
        should_stop: asked after every iteration; True saves and raises `InterruptedTrainingError`.
        ranks: this process among those that train the method together; the first one writes files.
    """

    epoch = 0
    max_epochs = 1

    def __init__(
        self,
        method: Method,
        stream: TrainingStream,
        folder: Path,
        *,
        device: torch.device,
        workers: int,
        checkpoint_every: int,
        precision: Precision = FLOAT32,
        compiled: bool = False,
        accumulate: int = 1,
        say: Callable[[str], None] | None = None,
        log_every: int = 10,
        hooks: Sequence[Hook] = (),
        report: Report = lambda *_: None,
        should_stop: Callable[[], bool] = lambda: False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model = method.to(device)
        self.logger = logging.getLogger("adaptbench.training")
        self._compiler = _compiler(self.model, say or self.logger.warning, should_stop) if compiled else None
        train_in(precision, self.model, device)
        self.stream = stream
        self.work_dir = str(folder)
        self.iter = 0
        self.max_iters = len(stream)
        self.seconds = 0.0
        self.energy = energy_meter(device)
        self.optim_wrapper = scaled(method.optimizers(), precision, device)
        self.param_schedulers = method.schedules(self.optim_wrapper)
        self._accumulation = Accumulation(self.model, accumulate, say or self.logger.warning)
        share_work(self.model, self.optim_wrapper, ranks)
        self.rank, self.world_size = ranks.rank, ranks.count
        self.hooks: list[Hook] = [*method.hooks(), ClassShares(log_every), *hooks]
        self._ranks = ranks
        self._device = device
        self._precision: Precision = precision
        self._workers = workers
        self._checkpoint_every = checkpoint_every
        self._log_every = log_every
        self._report = report
        self._should_stop = should_stop
        self._folder = folder
        self._losses: dict[str, float] = {}
        self._watch = DivergenceWatch(self.optim_wrapper, self.checkpoint_file)
        self._saved: int | None = None

    @property
    def checkpoint_file(self) -> Path:
        """Where the state is kept."""
        return self._folder / "checkpoint.safetensors"

    @property
    def compilation(self) -> Compilation | None:
        """Which parts ran compiled so far; None where they were not to be."""
        return None if self._compiler is None else self._compiler.compilation

    def model_state(self) -> dict[str, Tensor]:
        """Everything the method holds, under the names of a checkpoint."""
        return method_state.full_state(self.model)

    def finished_state(self) -> dict[str, Tensor]:
        """What `model_state` would be if the training ended here, on the CPU; the training goes on as it was."""
        before = _copied(self.model.state_dict())
        self.model.finish()
        finished = _copied(self.model_state())
        self.model.load_state_dict(before)
        return finished

    def due(self, every: int) -> bool:
        """Whether this iteration is the first of ``every`` ones, or the last of all."""
        return self.iter % every == 0 or self.iter + 1 == self.max_iters

    def run(self) -> None:
        """Trains from the last checkpoint, if there is one, to the end.

        Raises:
            InterruptedTrainingError: asked to stop; everything is saved.
            UsageError: what is asked for cannot be computed in parts, or by several devices.
            RunStateError: weights are no longer finite, or the state cannot be read or written.
        """
        self._call_hooks("before_run")
        self._resume()
        self._call_hooks("before_train")
        self._call_hooks("before_train_epoch")
        self.energy.start()
        started = time.monotonic()
        for batch in batches(self.stream, self.iter, self._workers, pinned=self._device.type == "cuda"):
            self._iterate(batch)
            loss = self._loss() if self._losses else None
            self._report(self.iter, self.max_iters, loss, self._losses)
            stop = self._ranks.any(self._should_stop()) and self.iter < self.max_iters
            if stop or self.iter % self._checkpoint_every == 0 or self.iter == self.max_iters:
                self.seconds += time.monotonic() - started
                started = time.monotonic()
                self.energy.lap()
                self._save()
            if stop:
                raise InterruptedTrainingError(
                    f"Stopped at iteration {self.iter} of {self.max_iters}; run again to go on."
                )
        self.model.finish()
        self._call_hooks("after_train_epoch")
        self._call_hooks("after_train")
        self._call_hooks("after_run")

    def _iterate(self, batch: Batch) -> None:
        batch = to_device(batch, self._device)
        self._call_hooks("before_train_iter", batch_idx=self.iter, data_batch=batch)
        seed_global_generators(batch.draws.seed("network"))  # dropout and drop path
        self.model.train()
        with products_in(self._precision):
            log = dict(self.model.train_step(batch, self.optim_wrapper))
        self._accumulation.require_turns()
        self._watch.note(batch)
        self._call_hooks("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=log)
        if self.due(self._log_every):
            self._log(log)
        if self._device.type == "cpu" or self.due(self._log_every):  # when a GPU is waited for anyway
            self._watch.require_finite(self._saved)
        for scheduler in self.param_schedulers:  # last, as in mmengine: hooks see the rate that was used
            scheduler.step()
        self.iter += 1

    def _log(self, log: Mapping[str, Tensor]) -> None:
        numbers = _read(log)
        scalars = {key: values[0] for key, values in numbers.items() if log[key].numel() == 1}
        self._losses = {k: v for k, v in scalars.items() if k.rsplit(".", 1)[-1].startswith("loss")}
        rate = next(iter(by_name(self.optim_wrapper).values())).optimizer.param_groups[0]["lr"]
        line = {"iteration": self.iter, "loss": self._loss(), "learning_rate": rate, **scalars}
        if not self._ranks.first:
            return
        finite = {k: (v if math.isfinite(v) else None) for k, v in line.items()}
        vectors = {key: _rounded(values) for key, values in numbers.items() if key not in scalars}
        append_text(self._folder / "metrics.jsonl", json.dumps({**finite, **vectors}) + "\n")

    def _loss(self) -> float:
        """Sum of the losses that were logged last, as far as they are finite."""
        return sum(value for value in self._losses.values() if math.isfinite(value))

    def _call_hooks(self, point: str, **arguments: Any) -> None:
        for hook in self.hooks:
            getattr(hook, point)(self, **arguments)

    def _save(self) -> None:
        self._watch.require_finite(self._saved)
        if not self._ranks.first:
            return
        tensors, written = method_state.written_state(self.model, self.model_state())
        rest = {
            "optimizers": {k: o.state_dict() for k, o in by_name(self.optim_wrapper).items()},
            "schedulers": [s.state_dict() for s in self.param_schedulers],
        }
        facts = {
            **written,
            "iteration": self.iter,
            "max_iters": self.max_iters,
            "seconds": self.seconds,
            "joules": self.energy.joules,
            "stage_seed": self.stream.stage_seed,
            "state": checkpoint.flatten("state", rest, tensors),
        }
        if self.compilation is not None:
            facts["compilation"] = self.compilation.model_dump()
        self._watch.require_finite_state(tensors, self.iter, self._saved)
        checkpoint.save(self.checkpoint_file, tensors, facts)
        self._saved = self.iter

    def _resume(self) -> None:
        if (kept := self._kept()) is None:
            if self._ranks.first:
                (self._folder / "metrics.jsonl").unlink(missing_ok=True)
            return
        tensors, facts = kept
        if facts["stage_seed"] != self.stream.stage_seed or facts["max_iters"] != self.max_iters:
            raise RunStateError(f"{self.checkpoint_file} belongs to another training. Delete its folder.")
        method_state.fill(self.model, tensors, facts, self.checkpoint_file)
        rest = checkpoint.unflatten(facts["state"], tensors)
        for name, optimizer in by_name(self.optim_wrapper).items():
            optimizer.load_state_dict(rest["optimizers"][name])
        for scheduler, state in zip(self.param_schedulers, rest["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.iter, self.seconds = facts["iteration"], facts["seconds"]
        self._saved = self.iter
        self.energy.joules = facts.get("joules")
        if self._compiler is not None:
            self._compiler.take_up(Compilation.model_validate(facts["compilation"]))
        if self._ranks.first:
            _truncate_metrics(self._folder / "metrics.jsonl", self.iter)

    def _kept(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The checkpoint; None if there is none, or a damaged one: from the beginning the same bits come out."""
        if not self.checkpoint_file.exists():
            return None
        try:
            return checkpoint.load(self.checkpoint_file)
        except RunStateError as damaged:
            if isinstance(damaged.__cause__, OSError):  # it may be whole, and is not written over
                raise
            self.logger.warning("Starts again from the beginning: %s", damaged)
            return None


def _compiler(method: Method, say: Callable[[str], None], should_stop: Callable[[], bool]) -> Compiler:
    from adaptbench.training.compilation import Compiler  # which loads that of torch

    return Compiler(method, say, should_stop)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, which leave a GPU its memory."""
    return {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}


def _read(log: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """The numbers of a log, sorted by their names; a GPU is waited for once."""
    keys = sorted(log)
    if not keys:
        return {}
    numbers = torch.cat([log[key].detach().double().reshape(-1) for key in keys]).tolist()
    ends = accumulate(log[key].numel() for key in keys)
    return {key: numbers[end - log[key].numel() : end] for key, end in zip(keys, ends, strict=True)}


def _rounded(vector: Sequence[float]) -> list[float | None]:
    """A vector as a log wants it: short."""
    return [round(value, 5) if math.isfinite(value) else None for value in vector]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on ``device``."""
    if device.type == "cpu":
        return batch
    target = None if batch.target is None else _moved(batch.target, device)
    return replace(batch, labelled=_moved(batch.labelled, device), target=target)


def _moved(images: AnyImages, device: torch.device) -> AnyImages:
    return images.map(lambda tensor: tensor.to(device, non_blocking=True), loaded=images)


def seed_global_generators(seed: int) -> None:
    """Seeds the generators of torch, NumPy and Python, so that a draw that names none is keyed as well."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def stage_seed(stage_hash: str) -> int:
    """The seed of a stage: everything drawn in it derives from its hash."""
    return derive_seed("stage", stage_hash)


def _truncate_metrics(path: Path, iteration: int) -> None:
    """Drops lines written after the checkpoint that is resumed from."""
    if path.exists():
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines() if _iteration(line) < iteration
        ]
        write_text(path, "".join(line + "\n" for line in lines))


def _iteration(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError):
        return math.inf  # a line cut off by a killed process
