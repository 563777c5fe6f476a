"""The contract of network files: a trained network of anybody, with everything that must be known to score it.

A network file is Python with a function without arguments that returns a `NetworkFile`. It names the network, which
need not be one of ours, and says how an image becomes its input and what its outputs are. ``evaluate --network-file
FILE.py:FUNCTION --weights FILE`` scores it; ``docs/examples/espnet.py`` is an example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptbench.data import transforms
from adaptbench.data.taxonomy import IGNORE, class_set
from adaptbench.errors import PluginError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class NetworkFile:
    """A network and what is stated beside it.

    An image is resized to ``input_size`` (bilinear, OpenCV) and becomes ``(pixel - mean) / std / scale``. Logits are
    resized to the label (bilinear, without aligned corners), and the most likely output of every pixel counts.

    Attributes:
        network: with any weights. Shape: float ``(B, 3, H, W)`` to logits ``(B, outputs, h, w)`` of any resolution.
        outputs: the name of every output, in their order.
        class_set: what it is scored in, a name of `adaptbench.data.taxonomy`.
        mean: per channel, in the order of ``channels``. Units: grey levels, 0..255.
        std: likewise.
        channels: which channel comes first.
        scale: what the normalised image is divided by.
        input_size: (width, height) in pixels; None = that of the file.
        counts_as: the class that an output counts as, for outputs that are not called like a class of the class set;
            None = void: it is never right.
        paper: where the network is described, in words.
    """

    network: nn.Module
    outputs: Sequence[str]
    class_set: str
    mean: Triple
    std: Triple
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    input_size: tuple[int, int] | None = None
    counts_as: Mapping[str, str | None] = field(default_factory=dict)
    paper: str | None = None

    def stated(self) -> dict[str, Any]:
        """Everything beside the network, as JSON has it."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "network"}
        return {
            name: list(value)
            if isinstance(value, tuple)
            else dict(value)
            if isinstance(value, Mapping)
            else value
            for name, value in values.items()
        }

    def train_ids(self) -> npt.NDArray[np.uint8]:
        """The train id that every output counts as, 255 for void. Shape: ``(256,)`` uint8."""
        classes, table = class_set(self.class_set).classes, np.full(256, IGNORE, dtype=np.uint8)
        for index, name in enumerate(self.outputs):
            counted = self.counts_as.get(name, name)
            if counted is not None:
                table[index] = classes.index(counted)
        return table

    def shown(self, image: npt.NDArray[np.uint8]) -> Tensor:
        """An image as the network gets it; every step is rounded to float32, as in code with NumPy.

        Shape: ``(H, W, 3)`` RGB uint8 to float32 ``(1, 3, h, w)``, on the CPU.
        """
        own = (image.shape[1], image.shape[0])
        size = self.input_size or own
        resized = image if size == own else transforms.resize_image(image, size)
        pixels = (resized[..., ::-1] if self.channels == "BGR" else resized).astype(np.float32)
        pixels = (pixels - np.array(self.mean, np.float64)).astype(np.float32)
        pixels = (pixels / np.array(self.std, np.float64)).astype(np.float32)
        pixels = pixels / np.float32(self.scale)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]

    def require_sound(self, where: str) -> None:
        """Raises PluginError for a statement that cannot be meant, in words that begin with ``where``."""
        for problem in (*self._wrong_input(), *self._wrong_outputs()):
            raise PluginError(f"{where}: {problem}")

    def _wrong_input(self) -> list[str]:
        """What is wrong with what is stated of the input."""
        size = self.input_size
        checks = {
            f"network is a {type(self.network).__name__}; expected a torch.nn.Module.": isinstance(
                self.network, nn.Module
            ),
            f"channels is {self.channels!r}; expected 'RGB' or 'BGR'.": self.channels in ("RGB", "BGR"),
            f"mean is {self.mean}; expected three numbers, in grey levels from 0 to 255.": _three(self.mean),
            f"std is {self.std}; expected three numbers above 0, in grey levels.": _three(self.std)
            and min(self.std) > 0,
            f"scale is {self.scale}; expected a number above 0.": self.scale > 0,
            f"input_size is {size}; expected (width, height) in pixels, or None for the size of the file.": size
            is None
            or (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)),
        }
        return [problem for problem, right in checks.items() if not right]

    def _wrong_outputs(self) -> list[str]:
        """What is wrong with what is stated of the outputs; a UsageError for an unknown class set."""
        classes, names = class_set(self.class_set).classes, list(self.outputs)
        unnamed = [name for name in names if name not in classes and name not in self.counts_as]
        strange = [name for name in self.counts_as if name not in names]
        targets = [name for name in self.counts_as.values() if name is not None and name not in classes]
        checks = {
            f"outputs has {len(names)} names; expected 1 to {IGNORE}.": 0 < len(names) <= IGNORE,
            f"outputs names one twice: {', '.join(names)}.": len(set(names)) == len(names),
            f"the outputs {', '.join(unnamed)} are no class of {self.class_set} ({', '.join(classes)}). State in "
            "counts_as which class each counts as, or None for void.": not unnamed,
            f"counts_as names {', '.join(strange)}, which outputs does not.": not strange,
            f"counts_as leads to {', '.join(targets)}; the classes of {self.class_set} are "
            f"{', '.join(classes)}.": not targets,
        }
        return [problem for problem, right in checks.items() if not right]


def _three(values: Sequence[float]) -> bool:
    return len(values) == 3 and all(np.isfinite(value) for value in values)
