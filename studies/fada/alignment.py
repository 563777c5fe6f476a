"""FADA: what the discriminator is told of a pixel, the clipping of soft labels, and what each training adds.

Binary labels are ordinary adversarial learning of features; with hard ones a pixel belongs to the class that is
predicted, with soft ones to every class by its probability. The first training is the same in all variants and is run
once (in profile mini all but the source-only row, which has the whole budget for itself). The paper states no number of
seeds, and scores the checkpoint that is best on target labels; ours the last one.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant


class Alignment(Study):
    """See the header of this file."""

    name = "fada/alignment"
    title = "FADA: labels of the discriminator"
    paper = "arXiv:2007.09222"
    table = "components, hard and soft labels, confidence clipping"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("source only", "fada_source", {}, Published(36.8)),
        Variant("binary", "fada_alignment", {"alignment": "binary"}, Published(39.3)),
        Variant("hard", "fada_alignment", {"alignment": "hard"}, Published(45.7)),
        Variant("soft, not clipped", "fada_alignment", {"soft_label_clip": None}, Published(45.7)),
        Variant("soft, clipped at 0.7", "fada_alignment", {"soft_label_clip": 0.7}, Published(46.2)),
        Variant("soft, clipped at 0.8", "fada_alignment", {"soft_label_clip": 0.8}, Published(46.3)),
        Variant("soft, clipped at 0.9", "fada_alignment", {}, Published(46.9)),
        Variant("with self-distillation", "fada", {}, Published(49.2)),
    )
    reference = "soft, clipped at 0.9"
    checks = (
        Delta("adversarial learning of features", "binary", "source only", 2.5),
        Delta("classes over domains alone", "soft, clipped at 0.9", "binary", 7.6),
        Delta("soft over hard labels", "soft, clipped at 0.9", "hard", 1.2),
        Delta("clipping at 0.9", "soft, clipped at 0.9", "soft, not clipped", 1.2),
        Delta("self-distillation", "with self-distillation", "soft, clipped at 0.9", 2.3),
    )
