"""Values of ``--set``: an error of ours, or the value that JSON says it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mutations import ODD_TEXTS, VALUES, fuzzed

from adaptbench.contracts.settings import Settings
from adaptbench.errors import AdaptBenchError
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request

KEYS = st.sampled_from([*Settings.model_fields, *(f"dacs.{key}" for key in Settings.model_fields)])
DIALS = st.sampled_from(["minicity.gap", "minicity.seed", "minicity.scale", "minicity.x"])


def as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:
        return "9" * 5000


TEXTS = VALUES.map(as_json) | st.sampled_from(ODD_TEXTS) | st.text(max_size=10)


@fuzzed
@given(key=KEYS | DIALS | st.sampled_from(ODD_TEXTS) | st.text(max_size=5), text=TEXTS)
def test_values(key: str, text: str, tmp_path_factory: Any) -> None:
    out: Path = tmp_path_factory.getbasetemp()
    request = Request(methods=("dacs",), settings=(f"{key}={text}",), device="cpu", out=out)
    try:
        (job,) = make_plan(request).jobs
    except AdaptBenchError as error:
        assert len(str(error)) < 20_000
        return
    name = key.removeprefix("dacs.")
    if name in job.spec.settings:
        try:
            said = json.loads(text)
        except ValueError:
            said = {"True": True, "False": False, "None": None}.get(text, text)
        assert job.spec.settings[name] == said
