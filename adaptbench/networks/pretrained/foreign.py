"""Files of weights that others have written: read without running code in them, and looked through.

A file is a safetensors file or one that ``torch.save`` wrote. The latter is a pickle, a program that can do
anything when it is loaded; only the part of it that holds tensors is read, unless the user trusts the file.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.serialization import MAGIC_NUMBER

from adaptbench.errors import UsageError, WeightsError
from adaptbench.storage.plain_files import require_plain

#: What a file holds: tensors by name, at any depth.
Content: TypeAlias = "Mapping[str, Tensor | Content]"

Held = TypeVar("Held")

#: Names under which training programs keep a network's weights.
CONTAINERS = (
    "state_dict",
    "state_dict_ema",
    "model",
    "model_ema",
    "model_state",
    "model_state_dict",
    "module",
    "net",
    "network",
    "student",
    "teacher",
    "ema",
    "weights",
)
#: What wrappers for training on several devices put in front of every name.
_WRAPPERS = ("module.", "_orig_mod.")
_LISTED = 12
_HEAD = 64


def read_tensors(path: Path, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The tensors of one network in a file, by the names they have there.

    Raises:
        WeightsError: the file is missing, damaged, no file of weights, or holds no or several networks.
        UsageError: it holds more than tensors and plain values, and ``trust_pickle`` is off.
    """
    return look_through(read_content(path, trust_pickle), path)


def read_content(path: Path, trust_pickle: bool = False) -> Content:
    """Everything in a file that is a tensor, in the nesting of the file.

    Raises:
        WeightsError: the file is missing, damaged, or no file of weights.
        UsageError: it holds more than tensors and plain values, and ``trust_pickle`` is off.
    """
    if _kind(path) == "safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
            raise WeightsError(_damaged(path, error)) from error
    _require_unpacked(path)
    loaded = _read_torch(path, trust_pickle)
    try:
        content = _tensors_in(loaded)
    except RecursionError as error:  # also of what holds itself
        raise WeightsError(f"{path} is nested too deeply for a file of weights.") from error
    if not content:
        raise WeightsError(
            f"{path} holds no tensor, but {_what(loaded)}. Is it another file of the download?"
        )
    return content


def look_through(content: Content, origin: Path) -> dict[str, Tensor]:
    """The tensors of the one network in ``content``; containers such as ``state_dict`` are opened.

    Raises:
        WeightsError: several parts may be meant; lists them.
    """
    parts = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not parts:
        return _unwrapped(tensors)
    known = [key for key in parts if key in CONTAINERS] or list(parts)
    if len(known) > 1 or any(tensor.dim() for tensor in tensors.values()):
        raise WeightsError(
            f"{origin} holds several things that may be meant: {listed(content)}. Save the one you want as a file of "
            "its own, for example with torch.save(torch.load(FILE, weights_only=True)[KEY], NEW_FILE)."
        )
    return look_through(parts[known[0]], origin)


def flatten(content: Content, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of ``content`` at any depth, their names joined by dots; prefixes of wrappers are dropped."""
    flat: dict[str, Tensor] = {}
    for key, value in _unwrapped(content).items():
        name = f"{prefix}{key}"
        flat.update({name: value} if isinstance(value, Tensor) else flatten(value, f"{name}."))
    return flat


def listed(names: Mapping[str, Any] | list[str], limit: int = _LISTED) -> str:
    """The first ``limit`` names and how many more there are."""
    shown = ", ".join(list(names)[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _kind(path: Path) -> Literal["safetensors", "torch"]:
    """What the first bytes say; the suffix is not trusted."""
    try:
        require_plain(path)
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no such file of weights.") from error
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror}. A file of weights is expected."
        ) from error
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"PK") or MAGIC_NUMBER.to_bytes(10, "little") in head:
        return "torch"
    raise WeightsError(f"{path} {_no_weights(head)}")


def _no_weights(head: bytes) -> str:
    """What a file is that holds no weights, and what to do."""
    if not head:
        return "is empty. Download it again."
    if head.startswith(b"version https://git-lfs"):
        return (
            "is a Git LFS pointer, not the file itself. Fetch it with 'git lfs pull', or download it by hand."
        )
    if head.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<"):
        return (
            "is a web page, not a file of weights: the server answered with a page (for example a confirmation "
            "or a login). Open the address in a browser and save the file itself."
        )
    return f"is neither a safetensors file nor one that torch.save wrote (it begins with {head[:8]!r})."


def _require_unpacked(path: Path) -> None:
    """A WeightsError for an archive that unpacks to more than it is: torch compresses nothing, bombs do."""
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(info.file_size for info in packed.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return  # of the older kind, or damaged, which torch says
    if size > path.stat().st_size:
        raise WeightsError(
            f"{path} has {path.stat().st_size:,} bytes and would unpack to {size:,}, which no file of torch.save "
            "does. It was packed again, or made to fill the memory: get it from its authors."
        )


def _read_torch(path: Path, trust_pickle: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust_pickle:
            raise UsageError(_needs_pickle(path, str(error))) from error
    except Exception as error:  # of a damaged file nearly any
        raise WeightsError(_damaged(path, error)) from error
    return _unpickle(path)


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise WeightsError(
            f"{path} holds objects of a program that is not installed here ({error}). Load it where it was written, "
            "and save its state dict alone."
        ) from error
    except Exception as error:  # the file is a program, and may end in any
        raise WeightsError(_damaged(path, error)) from error


def _needs_pickle(path: Path, message: str) -> str:
    found = re.search(r"GLOBAL (\S+)", message)
    what = f" ({found[1]})" if found else ""
    return (
        f"{path} holds Python objects beside tensors{what}. Loading them runs code that the file brings along, which "
        "can do anything you can do on this machine. If you trust whoever made the file, add --trust-pickle: it is "
        "unpickled once, and only its tensors are kept."
    )


def _damaged(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return (
        f"{path} is damaged, often because its download was cut short ({path.stat().st_size:,} bytes; {reason}). "
        "Download it again, and compare its size or checksum with what the authors state."
    )


def _tensors_in(loaded: Any) -> dict[str, Any]:
    """The tensors of nested dictionaries with text keys; everything else is left out, and so are empty parts."""
    if isinstance(loaded, nn.Module):
        loaded = loaded.state_dict()
    if not isinstance(loaded, Mapping):
        return {}
    found: dict[str, Any] = {}
    for key, value in loaded.items():
        kept = value.detach() if isinstance(value, Tensor) else _tensors_in(value)
        if isinstance(key, str) and (isinstance(kept, Tensor) or kept):
            found[key] = kept
    return found


def _what(loaded: Any) -> str:
    if isinstance(loaded, Mapping):
        return f"a dictionary with {listed([str(key) for key in loaded])}"
    return f"an object of type {type(loaded).__name__}"


def _unwrapped(content: Mapping[str, Held]) -> dict[str, Held]:
    """``content`` without the prefixes of wrappers that all names share."""
    for wrapper in _WRAPPERS:
        if content and all(name.startswith(wrapper) for name in content):
            return _unwrapped({name.removeprefix(wrapper): value for name, value in content.items()})
    return dict(content)
