"""Methods of two stages, whose first is the whole training of another method; and a witness of hooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook

from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.settings import Settings
from methods.oracle import Oracle
from methods.source_only import SourceOnly


class Witness(Hook):
    """Notes when mmengine's points are reached and what they are given."""

    def _note(self, runner: Any, point: str, **seen: Any) -> None:
        with (Path(runner.work_dir) / "witness.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"point": point, "iter": runner.iter, **seen}) + "\n")

    def before_train(self, runner: Any) -> None:
        self._note(runner, "before_train", max_iters=runner.max_iters, threads=torch.get_num_threads())

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self._note(runner, "before_train_iter", batch_idx=batch_idx, names=list(data_batch.labelled.names))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        rate = runner.optim_wrapper.param_groups[0]["lr"]
        self._note(runner, "after_train_iter", batch_idx=batch_idx, outputs=sorted(outputs), rate=rate)

    def after_train(self, runner: Any) -> None:
        self._note(runner, "after_train", training=runner.model.training)


class _Chained(SourceOnly):
    first: type[Method]

    @classmethod
    def stages(cls, settings: Settings) -> list[Stage]:
        return [Stage("first", cls.first, settings), Stage("second", cls, settings, start=0)]

    def hooks(self) -> list[Hook]:
        return [Witness()]


class AfterSource(_Chained):
    """Goes on from the source-only network."""

    name = "after_source"
    title = "After source only"
    paper = None
    tags = ()
    first = SourceOnly


class AfterOracle(_Chained):
    """Goes on from the oracle's network, and so inherits its tag."""

    name = "after_oracle"
    title = "After oracle"
    paper = None
    tags = ()
    first = Oracle
