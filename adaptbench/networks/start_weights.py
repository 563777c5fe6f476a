"""What an encoder's training starts from: weights that come with the package, a user's, downloaded ones, or nothing.

The setting `pretraining` chooses: ``default`` (what the network declares), ``none`` (random weights) or a file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from adaptbench.errors import DataError, UsageError

#: The folder that is searched for downloaded files.
FOLDER_VARIABLE = "ADAPTBENCH_WEIGHTS"
_SHIPPED = Path(__file__).parent / "mini"


@dataclass(frozen=True)
class StartWeights:
    """Start weights that a network declares for its encoder.

    Attributes:
        data: what they were trained on, in words for tables.
        file: name of the file.
        origin: who publishes the file, for the error that asks for it.
        hub: repository of the Hugging Face hub that has the same weights, and its file; None = none has.
        package: folder with the file in a package that this one depends on, in dots; None = no package has it.
    """

    data: str
    file: str
    origin: str
    hub: tuple[str, str] | None = None
    package: str | None = None


def shipped(file: str) -> StartWeights:
    """Weights of a mini encoder, which come with the package; `adaptbench.networks.mini.pretrain` made them."""
    return StartWeights("MiniCity cut-outs", file, "part of the package")


def timm_weights(model: str, tag: str, hub: str | None = None) -> StartWeights:
    """Weights that timm publishes for ``model`` under a tag, in the repository ``hub``; None = the usual one."""
    hub = hub or f"timm/{model}.{tag}"
    return StartWeights(
        f"timm {tag}", f"{model}.{tag}.safetensors", f"timm, {hub}", (hub, "model.safetensors")
    )


@dataclass(frozen=True)
class Found:
    """Start weights on this machine."""

    data: str
    path: Path
    sha256: str

    def identity(self) -> dict[str, str]:
        """What of it decides a training's result."""
        return {"data": self.data, "sha256": self.sha256}


def find(network: str, declared: StartWeights | None, choice: str) -> Found | None:
    """The start weights of ``network``; None = random ones.

    Raises:
        UsageError: the user's file does not exist.
        DataError: the declared file is nowhere; says which one goes where.
    """
    if choice == "none" or (choice == "default" and declared is None):
        return None
    if choice == "default":
        assert declared is not None
        path = _locate(network, declared)
        return Found(declared.data, path, _sha256(path, path.stat().st_mtime_ns))
    path = Path(choice).expanduser()
    if not path.is_file():
        raise UsageError(
            f"--set pretraining={choice}: no such file. Give a file of encoder weights, 'none' for random weights, "
            f"or 'default' for those of {network}."
        )
    digest = _sha256(path.resolve(), path.stat().st_mtime_ns)
    return Found(f"{path.name} ({digest[:8]})", path.resolve(), digest)


def load(found: Found, backbone: nn.Module) -> None:
    """Fills ``backbone`` with the weights of a file in any naming that is known."""
    from adaptbench.networks.pretrained.encoders import encoder_state
    from adaptbench.networks.pretrained.foreign import read_tensors

    backbone.load_state_dict(encoder_state(read_tensors(found.path), backbone, found.path))


def _locate(network: str, declared: StartWeights) -> Path:
    """Shipped with the package or a dependency, in the user's folder, or on the hub."""
    folder = os.environ.get(FOLDER_VARIABLE)
    for place in (_SHIPPED, _package_folder(declared.package), Path(folder).expanduser() if folder else None):
        if place is not None and (place / declared.file).is_file():
            return place / declared.file
    found, problem = _from_hub(*declared.hub) if declared.hub else (None, "no copy on a hub is known")
    if found is not None:
        return found
    where = f"{folder} (${FOLDER_VARIABLE})" if folder else f"a folder and set {FOLDER_VARIABLE} to it"
    raise DataError(
        f"{network} starts from {declared.data} weights, and {declared.file} ({declared.origin}) is not on this "
        f"machine; {problem}. Put the file into {where}, or say --set pretraining=FILE, or pretraining=none to "
        "train from random weights."
    )


@lru_cache(maxsize=64)
def _package_folder(name: str | None) -> Path | None:
    """A folder of an installed package; the package is not imported."""
    package, _, inner = (name or "").partition(".")
    found = find_spec(package) if package else None
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0], *inner.split("."))


@lru_cache(maxsize=64)
def _from_hub(repository: str, file: str) -> tuple[Path | None, str]:
    """The downloaded file, or why there is none; asked once per process, since a failure takes half a minute."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file)), ""
    except OSError as error:  # every failure of the hub is one
        return None, f"its copy on the hub, {repository}, cannot be fetched ({type(error).__name__})"


@lru_cache(maxsize=64)
def _sha256(path: Path, modified: int) -> str:
    """Of the file's bytes; read again when the file was ``modified`` since."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
