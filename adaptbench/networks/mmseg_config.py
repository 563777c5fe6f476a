"""A network from an mmsegmentation config file: its backbone and its decode head."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from adaptbench.errors import UsageError
from adaptbench.networks.segmentor import NetworkSpec


def config_network(path: Path) -> NetworkSpec:
    """The spec of the ``model`` in an mmsegmentation config. Auxiliary heads and losses are left out."""
    try:
        model = Config.fromfile(path).model
        backbone, head = dict(model.backbone), dict(model.decode_head)
    except Exception as error:  # the file is a program, and may end in any
        raise UsageError(
            f"{path} is no mmsegmentation config with model.backbone and model.decode_head: "
            f"{type(error).__name__}: {error}"
        ) from error
    head.pop("num_classes", None)
    backbone.pop("init_cfg", None)  # start weights named there may need a download
    return NetworkSpec(str(path), backbone, head)
