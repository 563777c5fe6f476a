"""Networks by name: our plug-ins, timm encoders (``timm:NAME``, ``daformer-timm:NAME``), or an mmsegmentation config.

Importing this package makes mmsegmentation importable (see `mmcv_ops`).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from torch import nn

from adaptbench.adaptation.fixed import fix
from adaptbench.errors import UsageError, unknown_name
from adaptbench.networks import mmcv_ops

mmcv_ops.install()

from mmseg.registry import MODELS  # noqa: E402

from adaptbench.networks import start_weights  # noqa: E402
from adaptbench.networks.adapters.choice import WITHOUT_ADAPTER, Adapter  # noqa: E402
from adaptbench.networks.segmentor import NetworkSpec, Segmentor  # noqa: E402

__all__ = [
    "NetworkSpec",
    "Segmentor",
    "build",
    "checkpoint_activations",
    "names",
    "require_adapter",
    "spec",
    "start_encoder",
    "start_of",
]


def _discover() -> dict[str, NetworkSpec]:
    """All specs in the ``NETWORKS`` of the modules of this package."""
    found: dict[str, NetworkSpec] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found.update({network.name: network for network in getattr(loaded, "NETWORKS", ())})
    return found


_NETWORKS = _discover()


def names() -> list[str]:
    """Names of our own networks."""
    return sorted(_NETWORKS)


def spec(name: str) -> NetworkSpec:
    """The network called ``name``: one of ours, an encoder of timm, or the path of an mmsegmentation config.

    ``timm:ENCODER`` is under the DeepLabV2 head, ``daformer-timm:ENCODER`` under the DAFormer decoder,
    ``linear-timm:ENCODER`` under a linear classifier and ``vfm_uda-timm:ENCODER`` under the decoder of VFM-UDA.
    """
    if name in _NETWORKS:
        return _NETWORKS[name]
    if name.partition(":")[0].endswith("timm") and ":" in name:
        from adaptbench.networks.timm_encoder import DECODERS, timm_network

        decoder, _, model = name.partition(":")
        if decoder not in DECODERS:
            raise unknown_name("network", name, [f"{known}:{model}" for known in DECODERS])
        return timm_network(name)
    if name.endswith(".py"):
        from adaptbench.networks.mmseg_config import config_network

        return config_network(Path(name))
    raise unknown_name("network", name, [*_NETWORKS, "timm:ENCODER", "daformer-timm:ENCODER", "CONFIG.py"])


def start_of(name: str, pretraining: str) -> start_weights.Found | None:
    """Start weights of the network called ``name`` by the setting `pretraining`; None = random ones."""
    return start_weights.find(name, spec(name).start, pretraining)


def build(
    name: str, num_classes: int, pretraining: str = "none", adapter: Adapter = WITHOUT_ADAPTER
) -> nn.Module:
    """The network called ``name``; random weights are drawn from torch's global generator.

    Its encoder starts as ``pretraining`` says (`start_weights`), and then gets the ``adapter``.

    Shape: images ``(B, 3, H, W)`` float to logits ``(B, num_classes, h, w)`` float.

    Raises:
        UsageError: no such network, its configuration cannot be built, the start weights are another encoder's, or
            the encoder cannot have the adapter.
        DataError: the start weights are not on this machine.
    """
    network = spec(name)
    backbone = _part(network, network.backbone)
    head = _part(network, {**network.decode_head, "num_classes": num_classes})
    for part in (backbone, head):
        _draw_weights(part)
    found = start_of(name, pretraining)
    if found is not None:
        start_weights.load(found, backbone)
    adapter.put_into(backbone)
    if found is not None and adapter.kind != "full":
        fix(backbone, name, pretraining, found.data)
    return Segmentor(backbone, head)


def start_encoder(name: str, pretraining: str) -> nn.Module:
    """The encoder of a network with its start weights, before any adapter; a DataError if they are not here."""
    network = spec(name)
    encoder: nn.Module = _part(network, network.backbone)
    found = start_of(name, pretraining)
    if found is not None:
        start_weights.load(found, encoder)
    return encoder


@lru_cache(maxsize=64)
def require_adapter(name: str, adapter: Adapter) -> None:
    """Asks whether the encoder of a network can have the adapter, on the meta device: nothing is computed.

    Raises:
        UsageError: it cannot; says why.
    """
    network = spec(name)
    with torch.device("meta"):
        encoder = _part(network, network.backbone)
    try:
        with torch.device("meta"):
            adapter.put_into(encoder)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def _part(network: NetworkSpec, config: Mapping[str, Any]) -> Any:
    """A backbone or a decoder."""
    try:
        return MODELS.build(dict(config))
    except (KeyError, TypeError, ValueError, ImportError, RuntimeError) as error:
        raise UsageError(f"The network {network.name!r} cannot be built: {error}") from error


def _draw_weights(part: Any) -> None:
    """As the part says; on the meta device there is nothing to draw, and mmengine would look at it."""
    if hasattr(part, "init_weights") and not any(weight.is_meta for weight in part.parameters()):
        with _quiet_mmengine():
            part.init_weights()


def checkpoint_activations(network: nn.Module) -> None:
    """Lets encoders that have a switch ``checkpointing`` recompute activations in the backward pass.

    Less memory and more time; the numbers are the same, random draws included. Other encoders stay as they are: with
    batch norm, computing twice would change its statistics.
    """
    for module in network.modules():
        if isinstance(getattr(module, "checkpointing", None), bool):
            module.checkpointing = True  # type: ignore[assignment]


@contextlib.contextmanager
def _quiet_mmengine() -> Iterator[None]:
    """Keeps mmengine from logging every tensor it initialises."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
