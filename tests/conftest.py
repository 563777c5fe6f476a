"""For all tests: no network, and no start weights of the user's."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's library is imported
os.environ.pop("ADAPTBENCH_WEIGHTS", None)
