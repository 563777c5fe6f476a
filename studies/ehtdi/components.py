"""EHTDI part by part: what the target-boundary mix, the contrast between views and edge enhancement are worth.

All variants of EHTDI begin with the same source training, trained once; what it scores alone is the row 'start'.
Boundary scores of the same runs: ``python run_all.py analyse boundary``.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant


class Components(Study):
    """See the header of this file."""

    name = "ehtdi/components"
    title = "EHTDI: what each part is worth"
    paper = "arXiv:2208.06100"
    table = "the scores of the release; its ablations are arranged by us"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("source only", "source_only", {"network": "deeplabv2-pixmatch-r101"}),
        Variant("start", "pixmatch_source"),
        Variant("PixMatch", "pixmatch"),
        Variant("without mix", "ehtdi", {"mix_weight": 0.0}),
        Variant("without contrast", "ehtdi", {"contrast_weight": 0.0}),
        Variant("EHTDI", "ehtdi", {}, Published(58.8)),
        Variant("with edge enhancement", "ehtdi", {"edge_enhancement": True}, Published(62.0)),
    )
    reference = "EHTDI"
    checks = (
        Delta("adaptation over its start", "EHTDI", "start"),
        Delta("target-boundary mix", "EHTDI", "without mix"),
        Delta("contrast between views", "EHTDI", "without contrast"),
        Delta("edge enhancement", "with edge enhancement", "EHTDI"),
    )
    notes = (
        "The published values are of the checkpoint that is best on target labels, scored at 1280x640; here the last "
        "iterate is scored at the size of the label files.",
        "'start' is the training that EHTDI begins with, 'source only' that of the other methods, on the same network.",
    )
