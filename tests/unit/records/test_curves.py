"""Steps of the training curve."""

from __future__ import annotations

import json
from pathlib import Path

from stored_job import StoredJob

from adaptbench.records.curves import history, link_stage, live_history, stage_folders


def test_steps_count_on_over_stages(tmp_path: Path) -> None:
    lines = [{"iteration": i, "loss": 1.0} for i in (0, 10, 19, 0, 10)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [step for step, _ in history(tmp_path / "m.jsonl")] == [0, 10, 19, 20, 30]
    assert list(history(tmp_path / "none.jsonl")) == []


def test_a_vector_is_a_value_per_class(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"iteration": 0, "loss": 2.0, "share": [0.75, 0.25]}\n')
    assert list(history(tmp_path / "m.jsonl", ["road", "sky"])) == [
        (0, {"loss": 2.0, "share/road": 0.75, "share/sky": 0.25})
    ]
    assert list(history(tmp_path / "m.jsonl")) == [(0, {"loss": 2.0})]


def test_a_running_job_has_the_lines_of_its_stages(job: StoredJob) -> None:
    job.save([0, 10], done=False)
    running = list(live_history(job.folder, ["road", "sky"]))
    job.save([0, 10], done=True)
    assert running == list(history(job.folder / "metrics.jsonl", ["road", "sky"]))


def test_stages_stay_in_their_order_whatever_the_clock_says(tmp_path: Path) -> None:
    """They are linked anew whenever a job goes on, perhaps with a clock that was set back."""
    names = ["warm up", "label", "adapt"]
    for number, name in reversed(list(enumerate(names))):
        link_stage(tmp_path / "job", name, tmp_path / "stages" / name, number)
    assert [folder.name for folder in stage_folders(tmp_path / "job")] == names
