"""Where official data and published networks lie, if they are here at all."""

from __future__ import annotations

import os
from pathlib import Path

from adaptbench.contracts import plugins

ROOT_OF_REAL_DATA = Path(os.environ.get("ADAPTBENCH_TEST_DATA", plugins.ROOT.parent / "shared" / "data"))
