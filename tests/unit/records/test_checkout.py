"""What tells that code has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptbench.contracts import plugins
from adaptbench.records import checkout

METHOD = Path(__file__).parents[2] / "e2e" / "plugins" / "hasty.py"


def test_any_source_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the package, beside plug-ins, and of plug-ins elsewhere; no commit is asked for."""
    root, own = tmp_path / "root", tmp_path / "hasty.py"
    for name in ("adaptbench/a/b.py", "methods/_shared.py", "docs/c.py"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("1")
    own.write_bytes(METHOD.read_bytes())
    registry = plugins.discover([own])
    monkeypatch.setattr(checkout, "ROOT", root)
    seen = {checkout.code_digest(registry)}
    for file in (root / "adaptbench/a/b.py", root / "methods/_shared.py", own):
        file.write_text(f"{file.read_text()}\n2\n")
        seen.add(checkout.code_digest(registry))
    assert len(seen) == 4
    (root / "docs/c.py").write_text("2")
    assert checkout.code_digest(registry) in seen
