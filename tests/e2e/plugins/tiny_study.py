"""A study that is quick to run: two sizes of the crop."""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant


class TinyStudy(Study):
    """Source-only training on crops of two sizes."""

    name = "tiny_study"
    title = "Tiny study"
    paper = None
    table = "no paper's"
    benchmarks = ("tiny",)
    variants = (
        Variant("small", "source_only", {"crop": 256}, Published(30.0, 1.0, 3)),
        Variant("smaller", "source_only", {"crop": 128}, Published(29.0, 1.0, 3)),
    )
    reference = "small"
    checks = (Delta("larger crops", "small", "smaller", 1.0),)
