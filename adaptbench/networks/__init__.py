"""Networks by name: our plug-ins, any timm encoder (``timm:NAME``), or an mmsegmentation config file.

Importing this package makes mmsegmentation importable (see `mmcv_ops`).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import MMLogger
from torch import nn

from adaptbench.errors import UsageError, unknown_name
from adaptbench.networks import mmcv_ops

mmcv_ops.install()

from mmseg.registry import MODELS  # noqa: E402

from adaptbench.networks.segmentor import NetworkSpec, Segmentor  # noqa: E402

__all__ = ["NetworkSpec", "Segmentor", "build", "names", "spec"]


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
    """The network called ``name``: one of ours, ``timm:ENCODER``, or the path of an mmsegmentation config.

    Raises:
        UsageError: no such network.
    """
    if name in _NETWORKS:
        return _NETWORKS[name]
    if name.startswith("timm:"):
        from adaptbench.networks.timm_encoder import timm_network

        return timm_network(name)
    if name.endswith(".py"):
        from adaptbench.networks.mmseg_config import config_network

        return config_network(Path(name))
    raise unknown_name("network", name, [*_NETWORKS, "timm:ENCODER", "CONFIG.py"])


def build(name: str, num_classes: int) -> nn.Module:
    """The network called ``name`` with random weights drawn from torch's global generator.

    Shape: images ``(B, 3, H, W)`` float to logits ``(B, num_classes, h, w)`` float.

    Raises:
        UsageError: no such network, or its configuration cannot be built.
    """
    network = spec(name)
    try:
        backbone = MODELS.build(dict(network.backbone))
        head = MODELS.build({**network.decode_head, "num_classes": num_classes})
    except (KeyError, TypeError, ValueError, ImportError, RuntimeError) as error:
        raise UsageError(f"The network {name!r} cannot be built: {error}") from error
    with _quiet_mmengine():
        for part in (backbone, head):
            if hasattr(part, "init_weights"):
                part.init_weights()
    return Segmentor(backbone, head)


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
