"""The network of a network file with its weights, checked and ready to predict; runs code of the file.

Only sealed processes load one: that of `adaptbench.execution.given.sealed_network`, and those of a job's stages.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaptbench.contracts.network_file import NetworkFile
from adaptbench.errors import AdaptBenchError, PluginError, UsageError, WeightsError
from adaptbench.execution.given.adapting import Adaptation
from adaptbench.networks.inference import Direct, Size, padded_logits, resized_argmax, taken_size
from adaptbench.networks.pretrained.foreign import read_content
from adaptbench.networks.pretrained.published import Layout, published_state
from adaptbench.records.start import FilePlace
from adaptbench.test_time.segmenters import Stream
from adaptbench.training.checkpoint import digest

UInt8 = npt.NDArray[np.uint8]

_EXAMPLE = "docs/network-files.md has an example."
#: A file that holds one network, under the names that it has there.
_PLAIN = Layout(student={}, teacher={}, others=())
#: What the network is tried on where it takes images of any size, (width, height) in pixels.
_TRIED = (256, 128)


class NetworkPlace(NamedTuple):
    """Where a network is: a file, the function in it, and the file of its weights."""

    file: Path
    function: str
    weights: Path

    @classmethod
    def parse(cls, text: str, weights: Path, option: str = "--network-file") -> NetworkPlace:
        """The place written ``FILE.py:FUNCTION``; a UsageError if it is none, or a file is missing."""
        file, separator, function = text.rpartition(":")
        if not separator or not function.isidentifier() or not file.endswith(".py"):
            raise UsageError(f"{option} {text!r}: expected FILE.py:FUNCTION. {_EXAMPLE}")
        for named, path in ((option, Path(file)), ("--weights", weights)):
            if not path.is_file():
                raise UsageError(f"{named} {path}: there is no such file.")
        return cls(Path(file).resolve(), function, weights.resolve())

    @classmethod
    def of(cls, stated: FilePlace) -> NetworkPlace:
        """The same as a document has it."""
        return cls(Path(stated.file), stated.function, Path(stated.weights))

    @property
    def name(self) -> str:
        """In tables and names of folders."""
        return f"{self.file.stem}-{self.function}"

    def __str__(self) -> str:
        return f"{self.file}:{self.function}"


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, in evaluation mode on its device."""

    place: NetworkPlace
    file: NetworkFile
    device: torch.device
    adaptation: Adaptation | None = None
    _stream: list[Stream] = field(default_factory=list, init=False)

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self.file.network

    def facts(self) -> dict[str, Any]:
        """What the network is, as JSON has it."""
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return {
            "stated": self.file.stated(),
            "network": type(self.network).__name__,
            "parameters": parameters,
            "weights_sha256": digest(self.network.state_dict()),
        }

    def require_fitting(self, box: Size) -> None:
        """Tries to adapt it to a made image of ``box``, (height, width), or of the size that it states.

        Raises:
            UsageError: network, settings and size do not go together.
            PluginError: it fails.
        """
        if self.adaptation is None:
            return
        width, height = self.file.input_size or (box[1], box[0])
        method, settings = self.adaptation.method, self.adaptation.settings
        method.require_fitting(copy.deepcopy(self.network), settings, (height, width))
        try:
            self.predict(_made(width, height), (height, width))
        except AdaptBenchError:
            raise
        except Exception as error:  # code of a stranger may raise anything
            raise PluginError(
                f"{self.place}: the network failed as {method.name} adapted it to an image of {width}x{height}: "
                f"{type(error).__name__}: {error}. Mend it; one that takes some sizes alone says so by a method "
                "taken_size (docs/network-files.md)."
            ) from error

    def predict(self, image: UInt8, size: Size, position: int = 0) -> UInt8:
        """Predicted train ids at ``size``, 255 for void; with ``position`` 0 a stream begins to which it adapts.

        Shape: ``(H, W, 3)`` RGB to ``(*size,)``.
        """
        train_ids: UInt8 = self.file.train_ids()[self._outputs(image, size, position).cpu().numpy()]
        return train_ids

    def _outputs(self, image: UInt8, size: Size, position: int) -> Tensor:
        """The likeliest outputs. Shape: ``(H, W, 3)`` RGB to ``(*size,)`` uint8."""
        if self.adaptation is None:
            pixels = self.shown(image)
            taken = taken_size(self.network, (pixels.shape[-2], pixels.shape[-1]))
            return resized_argmax(padded_logits(self.logits, pixels, taken), size)[0]
        if position == 0:
            self._stream[:] = [self.adaptation.started(self.network, Direct())]
        return self._stream[0].segment(self.shown(image), size).train_ids

    def shown(self, image: UInt8) -> Tensor:
        """An image as the network gets it. Shape: ``(H, W, 3)`` RGB uint8 to float32 ``(1, 3, h, w)`` on the device."""
        return self.file.shown(image).to(self.device)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """What the network gives for an image; a PluginError if that cannot be scored.

        Shape: ``(1, 3, H, W)`` to ``(1, outputs, h, w)``.
        """
        try:
            found = self.network(pixels)
        except Exception as error:  # code of a stranger may raise anything
            raise PluginError(
                f"{self.place}: the network failed on an input of shape {tuple(pixels.shape)}: "
                f"{type(error).__name__}: {error}. Mend it, state the input_size that it takes, or give it a "
                "method taken_size (docs/network-files.md)."
            ) from error
        for problem in self._problems(pixels, found):
            raise PluginError(f"{self.place}: {problem}")
        logits: Tensor = found
        return logits

    def _problems(self, pixels: Tensor, found: object) -> list[str]:
        """Why an answer of the network cannot be scored."""
        wanted = f"expected logits (1, {len(self.file.outputs)}, h, w)"
        if not isinstance(found, Tensor):
            return [f"the network returned a {type(found).__name__}; {wanted}, a tensor alone."]
        if (
            found.dim() != 4
            or found.shape[:2] != (1, len(self.file.outputs))
            or not found.is_floating_point()
        ):
            return [
                f"the network returned {found.dtype} of shape {tuple(found.shape)}; {wanted}, one channel for each of "
                f"the outputs that are named ({', '.join(self.file.outputs)})."
            ]
        (height, width), (h, w) = pixels.shape[-2:], found.shape[-2:]
        if h == 0 or w == 0 or abs(h * width - w * height) > height + width:
            return [
                f"the network made {h}x{w} (height x width) of an input of {height}x{width}, which has another ratio; "
                "are its axes swapped?"
            ]
        if not bool(found.isfinite().all()):
            return [
                "the network gives scores that are no finite numbers. Are weights and normalisation its own?"
            ]
        return []


def load(place: NetworkPlace, device: torch.device, adaptation: Adaptation | None = None) -> LoadedNetwork:
    """The network of ``place``, tried on a made image.

    Raises:
        PluginError: the file cannot be run, or does not keep the contract.
        WeightsError: the weights are not those of the network, or no plain tensors.
    """
    file = called(place)
    file.require_sound(str(place))
    file.network.load_state_dict(_weights(place, file.network), strict=True)
    loaded = LoadedNetwork(place, file, device, adaptation)
    loaded.network.to(device).eval()
    _require_constant(loaded)
    return loaded


def called(place: NetworkPlace) -> NetworkFile:
    """What the function of the file returns; a PluginError if it cannot be run, or returns something else."""
    build = _function(place)
    try:
        found = build()
    except Exception as error:  # code of a stranger may raise anything
        raise PluginError(f"{place}: the function failed: {type(error).__name__}: {error}.") from error
    if not isinstance(found, NetworkFile):
        raise PluginError(
            f"{place}: the function returned a {type(found).__name__}; expected an "
            f"adaptbench.contracts.network_file.NetworkFile. {_EXAMPLE}"
        )
    return found


def _function(place: NetworkPlace) -> Callable[[], object]:
    spec = importlib.util.spec_from_file_location("adaptbench_network_file", place.file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{place.file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{place.file} cannot be imported: {type(error).__name__}: {error}. A network file is one file, which "
            "imports installed packages only."
        ) from error
    found: object = getattr(module, place.function, None)
    if not callable(found):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise PluginError(
            f"{place.file} has no function {place.function!r}; it has {', '.join(known) or 'none'}."
        )
    return found


def _weights(place: NetworkPlace, network: nn.Module) -> dict[str, Tensor]:
    """The state dict of the network, read without running code."""
    try:
        content = read_content(place.weights)
    except UsageError as error:
        raise WeightsError(
            f"{place.weights} holds Python objects beside tensors, and reading these runs code that the file brings "
            "along. It is not read. If you trust whoever made it, load it yourself and save its tensors alone, with "
            "safetensors.torch.save_file or torch.save(network.state_dict(), FILE)."
        ) from error
    return published_state(
        content, _PLAIN, "student", network.state_dict(), place.weights, f"the network of {place}"
    )


def _made(width: int, height: int) -> UInt8:
    """An image of noise. Shape: ``(height, width, 3)``."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _require_constant(loaded: LoadedNetwork) -> None:
    """Raises PluginError if two passes over one image differ, or a pass changes the network."""
    width, height = loaded.file.input_size or _TRIED
    made = _made(width, height)
    before, pixels = digest(loaded.network.state_dict()), loaded.shown(made)
    first, second = loaded.logits(pixels.clone()), loaded.logits(pixels.clone())
    if not torch.equal(first, second):
        raise PluginError(
            f"{loaded.place}: two passes over one image gave different logits, by up to "
            f"{(first - second).abs().max():.3g}. A score could not be repeated: is there dropout or noise that "
            "eval() does not switch off?"
        )
    if digest(loaded.network.state_dict()) != before:
        raise PluginError(
            f"{loaded.place}: a pass changed the weights or buffers of the network. Does it call train() itself?"
        )


def file_sha256(path: Path) -> str:
    """Digest of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
