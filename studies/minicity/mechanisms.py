"""Does every component gain by what it is there for? The same variants in worlds that lack it.

Run it in the world as it is and with one dial of the generated world moved at a time; the tables stand beside each
other, and a gain that rests on what the dial takes away vanishes from its table:

- ``--set minicity.gap=0``: the target looks like the source, so that nothing is left to adapt to;
- ``--set minicity.pixel_balance=1``: no class of objects is rare, so that there is nothing to sample more often;
- ``--set minicity.small_objects=0``: objects are near and large, so that detail crops show nothing new.

What feature distance rests on, the features that the encoder starts with, is taken away by variants: from random start
weights, the features that it holds on to know nothing.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Study, Variant

_NO_RCS = {"rare_class_sampling": False}
_NO_FD = {"feature_distance": "off"}
_RANDOM = {"pretraining": "none"}
_DAFORMER = {"network": "daformer-mit_b5"}


class Mechanisms(Study):
    """See the header of this file."""

    name = "minicity/mechanisms"
    title = "What a world must have for each component to gain"
    paper = None
    table = "of no paper: controls of our own world"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("source only", "source_only", _DAFORMER),
        Variant("oracle", "oracle", _DAFORMER),
        Variant("DACS", "dacs", _DAFORMER),
        Variant("DAFormer without RCS", "daformer", _NO_RCS),
        Variant("DAFormer without FD", "daformer", _NO_FD),
        Variant("DAFormer", "daformer"),
        Variant("HRDA", "hrda"),
        Variant("DAFormer without FD, random start", "daformer", {**_NO_FD, **_RANDOM}),
        Variant("DAFormer, random start", "daformer", _RANDOM),
    )
    reference = "source only"
    checks = (
        Delta("self-training", "DACS", "source only"),
        Delta("rare class sampling", "DAFormer", "DAFormer without RCS"),
        Delta("feature distance", "DAFormer", "DAFormer without FD"),
        Delta("detail crops", "HRDA", "DAFormer"),
        Delta("all of it", "HRDA", "source only"),
        Delta(
            "feature distance, random start", "DAFormer, random start", "DAFormer without FD, random start"
        ),
    )
    notes = ("Dials are part of what is compared: worlds have tables of their own.",)
