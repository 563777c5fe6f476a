"""How the network of a stage is chosen among snapshots, and the name of the file it is kept in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from adaptbench.contracts.benchmark import CheckpointRule, Protocol
from adaptbench.contracts.protocols import PROTOCOLS
from adaptbench.data.taxonomy import class_set
from adaptbench.records.jobspec import JobSpec, content_hash

#: What goes without saying in the name of a choice: so that it never changes its meaning, this never changes.
_FIRST = {"label_size": "native", "absent_classes": "skip", "ignore": "drop"}


class Selection(NamedTuple):
    """How the network of a stage is chosen among snapshots.

    Attributes:
        rule: by what.
        identity: of the labels, or of the target images.
    """

    rule: CheckpointRule
    identity: str

    @property
    def key(self) -> str:
        """What tells it from others, short."""
        return self.identity if self.rule == "oracle-best" else f"{self.rule}-{self.identity}"


def selection_by(rule: CheckpointRule, spec: JobSpec) -> Selection:
    """How a rule other than ``last`` would choose the networks of a job."""
    split = spec.ranking["splits"][0]
    data = spec.data[split.partition("/")[0]].identity()
    seen = {"split": split, "data": data} if rule == "oracle-best" else {"data": spec.ranking["data"]}
    return Selection(rule, seen_digest(spec, {**seen, **_scoring(spec)}))


def seen_digest(spec: JobSpec, seen: Mapping[str, Any]) -> str:
    """Short digest of what a choice sees, and of how much of it the job uses."""
    return content_hash({**seen, "limit": spec.limit, "profile": spec.ranking["profile"]})[:8]


def _scoring(spec: JobSpec) -> dict[str, Any]:
    """How a protocol scores snapshots, as far as it is not the way that was usual in the first version."""
    points = {key: spec.ranking.get(key, usual) for key, usual in _FIRST.items()}
    found = {key: value for key, value in points.items() if value != _FIRST[key]}
    averaged = class_set(spec.class_set).averaged
    return found if averaged is None else {**found, "class_set": spec.class_set}


def weights_name(selection: Selection | None) -> str:
    """Name of the file with the scored weights of a stage."""
    if selection is None:
        return "weights.safetensors"
    return f"{'best-' if selection.rule == 'oracle-best' else ''}{selection.key}.safetensors"


def choosing(head: str) -> Iterator[tuple[str, Protocol]]:
    """Class sets of a head, and the rules of a protocol that chooses by target labels in each; with repetitions."""
    yield head, Protocol(checkpoint="oracle-best")
    for protocol in PROTOCOLS.values():
        if protocol.rules is not None and protocol.rules.checkpoint == "oracle-best":
            names = (head, *protocol.class_sets.values())
            yield from ((name, protocol.rules) for name in names if class_set(name).head == head)
