"""--precision: another training of the same method, beside the one in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .bench import Bench, read_json


def test_mixed_precision_is_another_job(bench: Callable[[str], Bench]) -> None:
    made = replace(bench("precision"), settings=("crop=64",), iterations=1)
    for options in ((), ("--precision", "bf16")):
        answer = made.run("source_only", options=options)
        assert answer.code == 0, answer.output
    folders = (made.out / "runs" / "minicity" / "tiny" / "source_only").iterdir()
    records = {record["precision"]: record for record in (read_json(f / "record.json") for f in folders)}
    assert records.keys() == {"float32", "bf16"}
    assert len({record["weights_sha256"] for record in records.values()}) == 2
    assert len({record["ranking_hash"] for record in records.values()}) == 1
    assert "source_only (bf16)" in (made.out / "leaderboards" / "leaderboard.md").read_text()
