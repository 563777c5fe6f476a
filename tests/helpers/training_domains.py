"""Source and target of a training, from small datasets in their layouts."""

from __future__ import annotations

from pathlib import Path

from adaptbench.contracts import plugins
from adaptbench.data.stream import Domain
from adaptbench.data.taxonomy import label_map


def domains_in(folder: Path) -> tuple[Domain, Domain]:
    """GTA5 with labels and Cityscapes without, as they lie in ``folder``."""
    registry = plugins.discover()
    gta5 = plugins.load(registry.find("dataset", "gta5"))(folder / "gta5")
    cityscapes = plugins.load(registry.find("dataset", "cityscapes"))(folder / "cityscapes")
    table = label_map("cityscapes", "cityscapes19")
    return (
        Domain([(gta5, sample, (80, 45), table) for sample in gta5.samples("all")]),
        Domain([(cityscapes, sample, (64, 32), None) for sample in cityscapes.samples("train")]),
    )
