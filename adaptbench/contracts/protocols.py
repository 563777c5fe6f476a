"""The named protocols: ours, and one per paper, so that a number can be made as its paper made it.

A protocol says how a trained network becomes a number, and which head is trained for it. It does not change how a
method trains: sizes and schedules are settings of the method, and those of a paper's own method are its published ones.
Protocols are part of the ranking hash: rows of different ones are never ranked together. Those with the same head share
a training: its last iterate, and the snapshots among which each that chooses finds its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from adaptbench.contracts.benchmark import Benchmark, CheckpointRule, Protocol
from adaptbench.errors import UsageError, unknown_name

DEFAULT = "adaptbench"


@dataclass(frozen=True)
class NamedProtocol:
    """How a paper makes its numbers.

    Attributes:
        title: for listings.
        rules: how a network is chosen and scored; None = as the benchmark says.
        class_sets: class set of a benchmark -> the one used in its place.
        training: head and input size that the paper trains with, in words.
        inference: input size and scales of its test, in words.
        source: where this can be read.
    """

    title: str
    rules: Protocol | None
    training: str
    inference: str
    source: str
    class_sets: Mapping[str, str] = field(default_factory=dict)


#: 13 of the outputs of a head of 16, as in EHTDI's code; that of FADA and ADVENT prints no mean over 13.
_THIRTEEN_OF_SIXTEEN = {"cityscapes13": "cityscapes13of16"}

PROTOCOLS: Mapping[str, NamedProtocol] = {
    DEFAULT: NamedProtocol(
        title="ours: last iterate, labels at their full size, mean over the classes in the truth of the split",
        rules=None,
        training="the head has the classes of the benchmark; input size as the method says",
        inference="as the method says, on one scale",
        source="docs/concepts.md",
    ),
    "as-published:fada": NamedProtocol(
        title="FADA: best checkpoint on the target labels, absent classes count as 0",
        rules=Protocol(checkpoint="oracle-best", absent_classes="zero"),
        class_sets=_THIRTEEN_OF_SIXTEEN,
        training="19 or 16 outputs; GTA5 at 1280x720, Cityscapes at 1024x512, self-distillation on crops of 1024x512",
        inference="1024x512, after self-distillation 2048x1024, one scale",
        source="arXiv:2007.09222 and the authors' code",
    ),
    "as-published:intrada": NamedProtocol(
        title="ADVENT and IntraDA: best checkpoint on the target labels",
        rules=Protocol(checkpoint="oracle-best", absent_classes="skip"),
        class_sets=_THIRTEEN_OF_SIXTEEN,
        training="19 or 16 outputs; GTA5 at 1280x720, Cityscapes at 1024x512",
        inference="1024x512, scores enlarged to the label",
        source="arXiv:2004.07703 and the authors' code",
    ),
    "as-published:ehtdi": NamedProtocol(
        title="EHTDI: best checkpoint on the target labels, which are reduced to 1280x640",
        rules=Protocol(checkpoint="oracle-best", label_size="1280x640", absent_classes="skip"),
        class_sets=_THIRTEEN_OF_SIXTEEN,
        training="19 or 16 outputs; all images 1280 wide, Cityscapes at 1280x640",
        inference="1280x640, averaged weights",
        source="arXiv:2208.06100 and the authors' code",
    ),
    "as-published:hrda": NamedProtocol(
        title="DAFormer, HRDA and MIC: last iterate; 19 outputs, of which 16 or 13 are averaged for SYNTHIA",
        rules=Protocol(absent_classes="skip"),
        class_sets={"cityscapes16": "cityscapes16of19", "cityscapes13": "cityscapes13of19"},
        training="19 outputs; Cityscapes at 1024x512 (DAFormer) or 2048x1024 (HRDA, MIC), random crops",
        inference="the whole image (DAFormer) or sliding windows of 1024x1024 (HRDA, MIC)",
        source="arXiv:2204.13132 and the authors' code",
    ),
    "as-published:espnet": NamedProtocol(
        title="ESPNet on CamVid: last iterate; void pixels of the truth count as errors",
        rules=Protocol(ignore="count", absent_classes="zero"),
        training="12 outputs, of which the last is void; CamVid at 480x360",
        inference="480x360, one scale",
        source="arXiv:1803.06815 and the authors' code",
    ),
}


def named(name: str) -> NamedProtocol:
    """The protocol called ``name``; a UsageError if there is none."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def rules_of(name: str, benchmark: type[Benchmark], checkpoint: CheckpointRule | None) -> Protocol:
    """How networks are chosen and scored: as the protocol says, or ``benchmark`` where it leaves it open.

    Raises:
        UsageError: no such protocol, or it has another rule for the choice than ``checkpoint``, which may be None.
    """
    rules = named(name).rules
    if rules is None:
        chosen = benchmark.protocol.checkpoint if checkpoint is None else checkpoint
        return replace(benchmark.protocol, checkpoint=chosen)
    if checkpoint not in (None, rules.checkpoint):
        raise UsageError(
            f"--checkpoint {checkpoint}: the protocol {name} scores {rules.checkpoint}, and would be another one with "
            "other weights. Leave one of the two flags out."
        )
    return rules


def class_set_of(name: str, benchmark: type[Benchmark]) -> str:
    """Name of the class set that ``benchmark`` is trained and scored in."""
    return named(name).class_sets.get(benchmark.class_set, benchmark.class_set)
