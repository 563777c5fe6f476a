"""Kinds of methods as jobs, from data to record. `.ci/run` and other tests run jobs of the kinds that are not here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .bench import Bench, read_json

#: With discriminators, without target images, in two stages, with a few labels, untrained, and with several views.
KINDS = ("advent", "daformer_dg", "ehtdi", "few_label_8", "majority", "pixmatch")


def test_every_kind_is_trained_and_scored(bench: Callable[[str], Bench]) -> None:
    """All stages of each, with one iteration and one image; other tests ask how well."""
    made = replace(bench("kinds"), iterations=1)
    answer = made.run(*KINDS, options=("--jobs", "1"))
    assert answer.code == 0, answer.output
    records = [read_json(path) for path in made.out.rglob("record.json")]
    assert sorted(record["method"] for record in records) == sorted(KINDS)
    assert all(record["scores"][0]["images"] == 1 for record in records)
