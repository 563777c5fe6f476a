"""A network file with batch norms, in the classes of Cityscapes; it is read as text and written by tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

NORMED_NETWORK = '''
from torch import nn

from adaptbench.contracts.network_file import NetworkFile
from adaptbench.data.taxonomy import class_set

LEVELS = (120.0, 110.0, 100.0)


class Normed(nn.Sequential):
    """A quarter of the size; two outputs more than classes: one is road as well, one is void."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 6, 3, stride=4, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 21, 1)
        )


def build(network=None):
    classes = class_set("cityscapes19").classes
    return NetworkFile(
        network=network or Normed(),
        outputs=(*classes[:5], "void", *classes[6:], "street", classes[5]),
        counts_as={"street": "road", "void": None},
        class_set="cityscapes19",
        mean=LEVELS,
        std=(60.0, 60.0, 60.0),
        channels="BGR",
    )
'''


def written(folder: Path, more: str = "") -> tuple[Path, Path]:
    """The file, with ``more`` at its end, and that of its weights."""
    torch.manual_seed(3)
    layers: list[Any] = [
        nn.Conv2d(3, 6, 3, stride=4, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 21, 1),
    ]
    with torch.no_grad():
        layers[3].weight.mul_(4)  # so that images show several outputs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "normed.py").write_text(NORMED_NETWORK + more)
    torch.save(nn.Sequential(*layers).state_dict(), folder / "normed.pth")
    return folder / "normed.py", folder / "normed.pth"
