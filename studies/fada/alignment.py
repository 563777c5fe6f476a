"""FADA: what the discriminator is told of a pixel, and the clipping of soft labels.

Binary labels are ordinary adversarial learning of features; with hard ones a pixel belongs to the class that is
predicted, with soft ones to every class by its probability. All variants are the whole method with its three trainings,
which share the first one. The paper compares them after the second training and prints no standard deviations; its one
printed value that is stated here is that of the method itself, with the checkpoint that is best on target labels.
"""

from __future__ import annotations

from adaptbench.study import Delta, Published, Study, Variant


class Alignment(Study):
    """See the header of this file."""

    name = "fada/alignment"
    title = "FADA: labels of the discriminator"
    paper = "arXiv:2007.09222"
    table = "domain encodings: binary, hard, soft; confidence clipping"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("no alignment", "fada", {"adversarial_weight": 0.0}),
        Variant("binary", "fada", {"alignment": "binary"}),
        Variant("hard", "fada", {"alignment": "hard"}),
        Variant("soft, not clipped", "fada", {"soft_label_clip": None}),
        Variant("soft, clipped at 0.9", "fada", {}, Published(49.2)),
    )
    reference = "soft, clipped at 0.9"
    checks = (
        Delta("alignment at all", "soft, clipped at 0.9", "no alignment"),
        Delta("classes over domains alone", "hard", "binary"),
        Delta("soft over hard labels", "soft, not clipped", "hard"),
        Delta("clipping", "soft, clipped at 0.9", "soft, not clipped"),
    )
