"""IntraDA: the share of easy target images (lambda).

With share 0 nothing is easy: AdvEnt alone. With share 1 nothing is hard: self-training without an adversary. The first
training and the ranking are the same in all variants and are run once. The paper states no number of seeds, and scores
the checkpoint that is best on target labels; ours the last one.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant


class Lambda(Study):
    """See the header of this file."""

    name = "intrada/lambda"
    title = "IntraDA: share of easy images"
    paper = "arXiv:2004.07703"
    table = "share of the easy split (lambda)"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("0 (AdvEnt)", "advent", {}, Published(43.8)),
        Variant("0.5", "intrada", {"easy_share": 0.5}, Published(45.2)),
        Variant("0.6", "intrada", {"easy_share": 0.6}, Published(46.0)),
        Variant("0.67", "intrada", {}, Published(46.3)),
        Variant("0.7", "intrada", {"easy_share": 0.7}, Published(45.6)),
        Variant("1 (self-training)", "intrada", {"easy_share": 1.0}, Published(45.5)),
    )
    reference = "0.67"
    checks = (
        Delta("both over AdvEnt", "0.67", "0 (AdvEnt)", 2.5),
        Delta("both over self-training alone", "0.67", "1 (self-training)", 0.8),
        Delta("two thirds over a half", "0.67", "0.5", 1.1),
    )
