"""Numbers as papers make them, by choices among snapshots of one stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance.conventions import CONVENTIONS

from adaptbench.data.taxonomy import CITYSCAPES16OF19
from adaptbench.evaluation.class_views import closed, mean_with_void, selected
from adaptbench.records.confusion_files import PerImageConfusion

from .bench import PLUGINS, Bench, read_json

#: Those that choose their checkpoint by target labels, and score differently.
PAPERS = ("fada", "ehtdi")


@pytest.fixture(scope="module")
def scored(bench: Callable[[str], Bench]) -> Bench:
    """One method under several protocols, and in 16 classes under that of HRDA."""
    made = replace(bench("protocols"), settings=("crop=64",), iterations=2)
    for paper in PAPERS:
        answer = made.run("source_only", options=("--protocol", f"as-published:{paper}"))
        assert answer.code == 0, answer.output
    for protocol in ("adaptbench", "as-published:espnet"):
        answer = made.run("source_only", options=("--protocol", protocol))
        assert answer.code == 0, answer.output
    sixteen = replace(made, plugins=(PLUGINS / "tiny_sixteen.py",), out=made.out.with_name("sixteen"))
    answer = sixteen.run("source_only", options=("--protocol", "as-published:hrda"))
    assert answer.code == 0, answer.output
    return made


def run_of(out: Path, paper: str | None) -> tuple[Path, dict[str, Any]]:
    """Folder and record of the run under the protocol of a paper, or under ours."""
    folders = (out / "runs" / "minicity" / "tiny" / "source_only").iterdir()
    found = {read_json(folder / "record.json")["ranking"].get("protocol"): folder for folder in folders}
    folder = found[paper and f"as-published:{paper}"]
    return folder, read_json(folder / "record.json")


def kept(folder: Path) -> PerImageConfusion:
    return PerImageConfusion.load(folder / "confusion" / "cityscapes-val.npz")


def counts(folder: Path) -> Any:
    return closed(kept(folder).total())


@pytest.mark.parametrize("paper", PAPERS)
def test_the_mean_is_that_of_the_papers_evaluator(scored: Bench, paper: str) -> None:
    folder, record = run_of(scored.out, paper)
    assert record["scores"][0]["miou"] == pytest.approx(100 * CONVENTIONS[paper].miou(counts(folder)))
    assert record["oracle"]


def test_a_run_keeps_what_it_scores_where_void_counts(scored: Bench) -> None:
    (ours, record), (theirs, counted) = run_of(scored.out, None), run_of(scored.out, "espnet")
    void_counted = kept(theirs).total()
    np.testing.assert_array_equal(kept(ours).total_with_void(), void_counted)
    assert void_counted[-1].any() and not void_counted[:, -1].any()
    assert counted["scores"][0]["miou"] == pytest.approx(100 * mean_with_void(void_counted))
    assert counted["scores"][0]["miou"] < record["scores"][0]["miou"]


def test_labels_are_reduced_where_the_paper_does_so(scored: Bench) -> None:
    pixels = {paper: counts(run_of(scored.out, paper)[0]).sum() for paper in PAPERS}
    assert pixels["ehtdi"] / pixels["fada"] == pytest.approx(1280 * 640 / (2048 * 1024), rel=0.02)


def test_all_have_the_stage_in_common(scored: Bench) -> None:
    runs = [run_of(scored.out, paper) for paper in PAPERS]
    assert len({(folder / "stages" / "train").resolve() for folder, _ in runs}) == 1
    assert len({record["cost"]["training_seconds"] for _, record in runs}) == 1, "it is trained once"


def test_snapshots_are_chosen_as_they_are_scored(scored: Bench) -> None:
    for paper in PAPERS:
        _, record = run_of(scored.out, paper)
        best = max(snapshot["miou"] for snapshot in record["snapshots"])
        assert record["scores"][0]["miou"] == pytest.approx(best)


def test_sixteen_of_nineteen(scored: Bench) -> None:
    folder, record = run_of(scored.out.with_name("sixteen"), "hrda")
    score = record["scores"][0]
    assert not record["oracle"]
    assert (score["class_set"], len(score["iou"])) == ("cityscapes16of19", 19)
    assert score["miou"] == pytest.approx(
        100 * selected(counts(folder), CITYSCAPES16OF19.averaged or (), "skip")
    )
