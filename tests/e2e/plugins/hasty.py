"""A method that reads a target label before any training: when its file is imported."""

from __future__ import annotations

import os
from pathlib import Path

from methods.source_only import SourceOnly

for _label in Path(os.environ["ADAPTBENCH_CACHE"]).glob("minicity/cityscapes-*/gtFine/*/*/*_labelIds.png"):
    _stolen = _label.read_bytes()


class Hasty(SourceOnly):
    """Knows a label."""

    name = "hasty"
    title = "Hasty"
    paper = None
    tags = ()
