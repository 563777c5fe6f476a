"""DAFormer's study of architectures: networks under three kinds of training, warm-up, and decoders on MiT-B5.

Rows of the paper whose network is not here are left out: DANet, ISANet, DeepLabV3+ and UPerNet, encoders other than
ResNet-101 and MiT-B5, and the swaps of encoder and decoder.
"""

from __future__ import annotations

from adaptbench.contracts.study import Delta, Published, Study, Variant


def _on(network: str) -> dict[str, str]:
    return {"network": network}


class Architectures(Study):
    """See the header of this file."""

    name = "daformer/architectures"
    title = "DAFormer: networks and decoders"
    paper = "arXiv:2111.14887"
    table = "Tables 1, 4 and 7 (architectures, warm-up, decoders), as far as the networks are here"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("source only, DeepLabV2", "source_only", {}, Published(34.3, 2.2, 3)),
        Variant("source only, SegFormer", "source_only", _on("segformer-mit_b5"), Published(45.6, 0.6, 3)),
        Variant("DACS, DeepLabV2", "dacs", {}, Published(54.2, 1.7, 3)),
        Variant("DACS, SegFormer", "dacs", _on("segformer-mit_b5"), Published(58.2, 0.9, 3)),
        Variant("oracle, DeepLabV2", "oracle", {}, Published(72.1, 0.5, 3)),
        Variant("oracle, SegFormer", "oracle", _on("segformer-mit_b5"), Published(76.4, 0.2, 3)),
        Variant("DACS, DeepLabV2, no warm-up", "dacs", {"warmup": 0}, Published(49.1, 2.0, 3)),
        Variant(
            "DACS, SegFormer, no warm-up",
            "dacs",
            {**_on("segformer-mit_b5"), "warmup": 0},
            Published(51.8, 0.8, 3),
        ),
        Variant("oracle, DeepLabV2, no warm-up", "oracle", {"warmup": 0}, Published(67.4, 1.7, 3)),
        Variant(
            "oracle, SegFormer, no warm-up",
            "oracle",
            {**_on("segformer-mit_b5"), "warmup": 0},
            Published(72.9, 1.6, 3),
        ),
        Variant("DAFormer UDA, SegFormer", "daformer", _on("segformer-mit_b5"), Published(67.0, 0.4, 3)),
        Variant(
            "DAFormer UDA, SegFormer 256", "daformer", _on("daformer_conv-mit_b5"), Published(67.1, 1.1, 3)
        ),
        Variant("DAFormer UDA, ISA fusion", "daformer", _on("daformer_isa-mit_b5"), Published(66.3, 0.9, 3)),
        Variant(
            "DAFormer UDA, context at F4 only",
            "daformer",
            _on("daformer_f4-mit_b5"),
            Published(67.0, 0.6, 3),
        ),
        Variant(
            "DAFormer UDA, not separable", "daformer", _on("daformer_aspp-mit_b5"), Published(67.0, 1.5, 3)
        ),
        Variant("DAFormer UDA, DAFormer", "daformer", {}, Published(68.3, 0.5, 3)),
        Variant("oracle, SegFormer 256", "oracle", _on("daformer_conv-mit_b5"), Published(76.5, 0.4, 3)),
        Variant("oracle, ISA fusion", "oracle", _on("daformer_isa-mit_b5"), Published(76.3, 0.4, 3)),
        Variant("oracle, context at F4 only", "oracle", _on("daformer_f4-mit_b5"), Published(76.6, 0.2, 3)),
        Variant("oracle, not separable", "oracle", _on("daformer_aspp-mit_b5"), Published(76.7, 0.6, 3)),
        Variant("oracle, DAFormer", "oracle", _on("daformer-mit_b5"), Published(77.6, 0.2, 3)),
    )
    reference = "DAFormer UDA, DAFormer"
    checks = (
        Delta("SegFormer over DeepLabV2, source only", "source only, SegFormer", "source only, DeepLabV2"),
        Delta("SegFormer over DeepLabV2, DACS", "DACS, SegFormer", "DACS, DeepLabV2"),
        Delta("SegFormer over DeepLabV2, oracle", "oracle, SegFormer", "oracle, DeepLabV2"),
        Delta("warm-up, DACS on DeepLabV2", "DACS, DeepLabV2", "DACS, DeepLabV2, no warm-up"),
        Delta("warm-up, DACS on SegFormer", "DACS, SegFormer", "DACS, SegFormer, no warm-up", 6.4),
        Delta("warm-up, oracle on DeepLabV2", "oracle, DeepLabV2", "oracle, DeepLabV2, no warm-up"),
        Delta("warm-up, oracle on SegFormer", "oracle, SegFormer", "oracle, SegFormer, no warm-up"),
        Delta(
            "DAFormer's decoder over SegFormer's", "DAFormer UDA, DAFormer", "DAFormer UDA, SegFormer", 1.3
        ),
        Delta("over SegFormer's with 256 channels", "DAFormer UDA, DAFormer", "DAFormer UDA, SegFormer 256"),
        Delta("over ISA fusion", "DAFormer UDA, DAFormer", "DAFormer UDA, ISA fusion"),
        Delta("context of all levels", "DAFormer UDA, DAFormer", "DAFormer UDA, context at F4 only"),
        Delta("depthwise separable convolutions", "DAFormer UDA, DAFormer", "DAFormer UDA, not separable"),
    )
    notes = (
        "The oracles are trained with target labels.",
        "For the oracle with SegFormer the paper prints 76.4 ± 0.2 in Table 1 (used here) and 76.8 ± 0.3 in Table 7.",
    )
