"""Libraries that find nothing of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key of the machine is found, nothing is sent, nothing is written outside ``tmp_path``."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
    for name in ("API_KEY", "DIR", "PROJECT", "ENTITY", "RUN_ID", "MODE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)


@pytest.fixture
def real() -> Iterator[None]:
    """The real library, without what an earlier test made it remember."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()
