"""Named protocols: what they change of a plan, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptbench.contracts.protocols import PROTOCOLS
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import UsageError
from adaptbench.execution.stages.choice import choosing
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import JobSpec

SYNTHIA = "minicity/synthia_to_cityscapes"


def planned(protocol: str, benchmark: str = "minicity/gta5_to_cityscapes", **request: Any) -> JobSpec:
    facts = {"out": Path("nowhere"), "device": "cpu", **request}
    (job,) = make_plan(Request(("source_only",), (benchmark,), protocol=protocol, **facts)).jobs
    return job.spec


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))


def test_every_protocol_has_boards_of_its_own() -> None:
    specs = [planned(name) for name in PROTOCOLS]
    assert (
        len({spec.ranking_hash for spec in specs}) == len({spec.job_hash for spec in specs}) == len(PROTOCOLS)
    )
    assert [spec.ranking.get("protocol", "adaptbench") for spec in specs] == list(PROTOCOLS)
    assert len({str(spec.settings) for spec in specs}) == 1


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("adaptbench", ("last", "native", "labelled")),
        ("as-published:fada", ("oracle-best", "native", "zero")),
        ("as-published:intrada", ("oracle-best", "native", "skip")),
        ("as-published:ehtdi", ("oracle-best", "1280x640", "skip")),
        ("as-published:hrda", ("last", "native", "skip")),
        ("as-published:espnet", ("last", "native", "zero")),
    ],
)
def test_the_rules_of_the_papers(protocol: str, expected: tuple[str, str, str]) -> None:
    ranking = planned(protocol).ranking
    assert (ranking["checkpoint"], ranking["label_size"], ranking["absent_classes"]) == expected


@pytest.mark.parametrize(
    ("head", "class_sets"),
    [("cityscapes19", {"cityscapes19"}), ("cityscapes16", {"cityscapes16", "cityscapes13of16"})],
)
def test_who_chooses_among_the_snapshots_of_a_head(head: str, class_sets: set[str]) -> None:
    ways = {(name, rules.label_size, rules.absent_classes) for name, rules in choosing(head)}
    assert ways == {
        (name, *rules)
        for name in class_sets
        for rules in (("native", "zero"), ("native", "skip"), ("1280x640", "skip"))
    } | {(head, "native", "labelled")}


@pytest.mark.parametrize(
    ("protocol", "sixteen", "thirteen"),
    [
        ("adaptbench", "cityscapes16", "cityscapes13"),
        ("as-published:fada", "cityscapes16", "cityscapes13of16"),
        ("as-published:ehtdi", "cityscapes16", "cityscapes13of16"),
        ("as-published:hrda", "cityscapes16of19", "cityscapes13of19"),
    ],
)
def test_heads_for_synthia(protocol: str, sixteen: str, thirteen: str) -> None:
    for benchmark, name in ((SYNTHIA, sixteen), (f"{SYNTHIA}_13", thirteen)):
        spec = planned(protocol, benchmark)
        assert spec.class_set == name
        assert spec.ranking["head_width"] == len(class_set(name))


def test_averages_of_one_head_share_trainings() -> None:
    assert class_set("cityscapes16of19").head == class_set("cityscapes13of19").head == "cityscapes19"
    assert class_set("cityscapes13of16").head == class_set("cityscapes16").head == "cityscapes16"


def test_a_rule_for_the_choice_of_weights_beside_that_of_the_paper_is_refused() -> None:
    assert planned("as-published:fada", checkpoint="oracle-best") == planned("as-published:fada")
    with pytest.raises(
        UsageError, match="--checkpoint last: the protocol as-published:fada scores oracle-best"
    ):
        planned("as-published:fada", checkpoint="last")


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(UsageError, match="as-published:fada"):
        planned("as-published:fadaa")
