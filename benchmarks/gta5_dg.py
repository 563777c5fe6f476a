"""GTA5 to unseen real streets: domain generalization, 19 classes.

Training sees GTA5 alone, pictures and labels; every other dataset is closed while it runs, its pictures included. The
labelled splits of real streets are scored: the first is ranked, each further one is a column and one more entry of
`evaluation`. The held-out source pictures exist in generated worlds only: they show what the domain gap costs.
"""

from __future__ import annotations

from adaptbench.benchmark import Benchmark, SplitRef


class GTA5DG(Benchmark):
    """See the header of this file."""

    name = "gta5_dg"
    title = "GTA5 to unseen domains (domain generalization)"
    setting = "dg"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = ()
    evaluation = (
        SplitRef("cityscapes", "val"),
        SplitRef("gta5", "heldout", generated_only=True),
    )
    published = "dg_gta5_to_cityscapes"
