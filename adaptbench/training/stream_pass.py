"""The pass of a network over a stream of test images; one that is stopped or killed goes on where it was saved."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from adaptbench.data.pseudo_labels import PseudoLabels
from adaptbench.errors import InterruptedTrainingError, RunStateError
from adaptbench.networks.inference import Size
from adaptbench.storage.atomic import write_text
from adaptbench.test_time.segmenters import Segmenter, Stream
from adaptbench.training import checkpoint


@dataclass(frozen=True)
class StreamImage:
    """An image of a stream.

    Attributes:
        name: its own in this stream.
        begins: whether a condition begins with it.
        read: the image as the network gets it, ``(1, 3, H, W)``, and the size at which it is predicted.
    """

    name: str
    begins: bool
    read: Callable[[], tuple[Tensor, Size]]


@dataclass
class StreamPass:
    """Predicts every image of a stream once, in order, and keeps predictions and losses.

    Every draw is keyed by the place in the stream, so the state of the segmenter and the number of images that it has
    seen decide everything that follows.

    Attributes:
        stream: at its beginning.
        kept: takes the predictions.
        file: where the state is saved.
        save_every: images between two savings.
        report: called with the images that are done, their total, and the last loss.
        should_stop: asked before every image; True saves and raises `InterruptedTrainingError`.
        seconds: of predictions and steps so far, without reading.
    """

    stream: Stream
    images: Sequence[StreamImage]
    kept: PseudoLabels
    file: Path
    save_every: int
    report: Callable[[int, int, float | None], None]
    should_stop: Callable[[], bool]
    seconds: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Goes over the stream, from where it was saved, to its end.

        Raises:
            InterruptedTrainingError: asked to stop; everything is saved.
            DataError: an image cannot be read.
            RunStateError: the loss is no finite number, or the state cannot be read or written.
        """
        self._resume()
        for image in self.images[self.stream.seen :]:
            if self.should_stop():
                self._save()
                raise InterruptedTrainingError(
                    f"Stopped after {self.stream.seen} of {len(self.images)} images of the stream; run again to go on."
                )
            loss = self._predict(image)
            self.report(self.stream.seen, len(self.images), loss)
            if self.stream.seen % self.save_every == 0:
                self._save()

    def losses(self) -> list[float | None]:
        """Of the last step on every image, in order; None where no step was made."""
        return [entry.facts.get("loss") for entry in self.kept.entries().values()]

    def _predict(self, image: StreamImage) -> float | None:
        pixels, size = image.read()
        started = time.monotonic()
        if image.begins:
            self.stream.segmenter.begin_condition()
        train_ids, loss = self.stream.segment(pixels, size)
        prediction = train_ids.cpu().numpy()
        self.seconds += time.monotonic() - started
        value = None if loss is None else _finite(float(loss), image.name)
        self.kept.add(image.name, prediction, {} if value is None else {"loss": value})
        return value

    def _save(self) -> None:
        save(self.file, self.stream.segmenter, {"seen": self.stream.seen, "seconds": self.seconds})

    def _resume(self) -> None:
        if self.file.exists():
            facts = load(self.file, self.stream.segmenter)
            self.stream.seen, self.seconds = facts["seen"], facts["seconds"]
        self.kept.resume(self.stream.seen)


def save(path: Path, segmenter: Segmenter, facts: Mapping[str, Any]) -> None:
    """Writes the whole state of a segmenter, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    states = {name: part.state_dict() for name, part in segmenter.parts().items()}
    checkpoint.save(path, tensors, {**facts, "state": checkpoint.flatten("state", states, tensors)})


def load(path: Path, segmenter: Segmenter) -> dict[str, Any]:
    """Puts a segmenter, started from the same network, into the state that was saved; returns the facts beside it.

    Raises:
        RunStateError: the file is damaged, or of another segmenter.
    """
    tensors, facts = checkpoint.load(path)
    states, parts = checkpoint.unflatten(facts.pop("state"), tensors), segmenter.parts()
    if states.keys() != parts.keys():
        raise RunStateError(f"{path} is the state of another adaptation. Delete its folder and run again.")
    for name, part in parts.items():
        _load(part, states[name])
    return facts


def write_curve(path: Path, losses: Sequence[float | None]) -> None:
    """Writes ``metrics.jsonl``: a line per image."""
    lines = (
        {"iteration": number, **({} if loss is None else {"loss": loss})}
        for number, loss in enumerate(losses)
    )
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def _load(part: nn.Module | Optimizer, state: Mapping[str, Any]) -> None:
    part.load_state_dict(dict(state))


def _finite(loss: float, image: str) -> float:
    if not math.isfinite(loss):
        raise RunStateError(
            f"The adaptation has diverged: on {image} its loss is {loss}. Set a lower adapt_learning_rate."
        )
    return loss
