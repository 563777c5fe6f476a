"""Every method as a job, from its data to its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adaptbench.contracts import plugins

from .bench import Bench, read_json


def test_every_method_is_trained_and_scored(bench: Callable[[str], Bench]) -> None:
    """All stages of each, with one iteration and one image; other tests ask how well."""
    made = replace(bench("all-methods"), iterations=1)
    answer = made.run("all", options=("--jobs", "1"))
    assert answer.code == 0, answer.output
    records = [read_json(path) for path in made.out.rglob("record.json")]
    assert sorted(record["method"] for record in records) == plugins.discover().names("method")
    assert all(record["scores"][0]["images"] == 1 for record in records)
