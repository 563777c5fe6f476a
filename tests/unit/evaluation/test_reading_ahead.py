"""What threads read ahead comes in order, is bounded, and leaves labels closed to everything else."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptbench.contracts.profiles import profile
from adaptbench.contracts.task import Task
from adaptbench.data import firewall
from adaptbench.data.sample import Sample
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.data.transforms import normalise
from adaptbench.errors import DataError, FirewallError
from adaptbench.evaluation.reading_ahead import read_ahead
from adaptbench.evaluation.scorer import Scorer
from adaptbench.networks.inference import Mode, Whole


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("tasks", [0, 1, 7])
def test_results_are_in_order(threads: int, tasks: int) -> None:
    def slowest_first(task: int) -> int:
        time.sleep(0.001 * (tasks - task))
        return task

    assert list(read_ahead(slowest_first, range(tasks), threads)) == list(range(tasks))


def test_no_more_is_read_than_threads_and_one() -> None:
    begun: list[int] = []
    results = read_ahead(begun.append, range(20), 2)
    next(results)
    time.sleep(0.05)
    assert len(begun) == 3
    results.close()
    assert len(begun) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading")]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_when_it_is_its_turn(threads: int) -> None:
    def read(task: int) -> int:
        if task == 2:
            raise DataError("image 2 is damaged")
        return task

    results = read_ahead(read, range(5), threads)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(DataError, match="image 2 is damaged"):
        next(results)


def test_labels_are_read_while_they_are_closed_to_the_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, "_breaches", [])
    image, label = tmp_path / "image.png", tmp_path / "labels" / "label.png"
    label.parent.mkdir()
    for file in (image, label):
        file.write_text(file.stem)
    within, refused = threading.Event(), []

    def read(path: Path) -> str:
        assert path == image or within.wait(10)
        return path.read_text()

    def of_a_method() -> None:
        with pytest.raises(FirewallError) as caught:
            label.read_text()
        refused.append(caught.type)

    results = read_ahead(read, [image, label], 1)
    assert next(results) == "image"
    with firewall.closed([label.parent]):
        within.set()
        assert next(results) == "label"
        of_a_method()
        thread = threading.Thread(target=of_a_method)
        thread.start()
        thread.join()
    assert len(refused) == 2


class Noise:
    """Images of noise with labels of noise."""

    id_space = "cityscapes"

    def read_image(self, sample: Sample) -> np.ndarray:
        return np.random.default_rng(int(sample.name)).integers(256, size=(6, 9, 3), dtype=np.uint8)

    def read_label(self, sample: Sample) -> np.ndarray:
        return np.random.default_rng(int(sample.name)).integers(34, size=(6, 9), dtype=np.uint8)


class Convolution:
    """As much of a method as a scorer asks for; its network is one convolution."""

    task = Task("test", "uda", CITYSCAPES19, profile("mini"))
    predicts_void = False

    def scored_network(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, len(CITYSCAPES19), 3, padding=1)

    def inference(self) -> Mode:
        return Whole()

    def counted(self, outputs: Tensor) -> Tensor:
        return outputs


def test_a_split_that_is_read_ahead_has_the_same_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scorer, "_pixels", lambda _, dataset, image: normalise(image)[None])
    samples = [Sample(str(number), Path("i"), Path("l")) for number in range(5)]

    def found(readers: int) -> list[np.ndarray]:
        parts: list[Any] = [Convolution(), None, torch.device("cpu"), [], lambda: False]
        scorer, noise = Scorer(*parts, readers=readers), cast("Any", Noise())
        return [
            *scorer.confusion(noise, samples, lambda *_: None).matrices,
            *scorer.totals(noise, samples, [None, (3, 4)]),
        ]

    in_turn, ahead = found(0), found(2)
    assert len({matrix.tobytes() for matrix in in_turn}) > 1
    assert all(map(np.array_equal, in_turn, ahead)) and len(in_turn) == len(ahead)
