"""The code that jobs run: its commit for records, and a digest of its files, which knows what no commit holds."""

from __future__ import annotations

import hashlib
import os
import subprocess

from adaptbench.contracts.plugins import FOLDERS, ROOT, Registry
from adaptbench.storage.plain_files import file_digest


def commit() -> str:
    """The checkout's commit, marked if it is not what is there; empty where there is no checkout."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def code_digest(registry: Registry) -> str:
    """sha256 of every source file of the package, of the plug-in folders, and of plug-ins elsewhere."""
    files = {file for name in ("adaptbench", *FOLDERS.values()) for file in (ROOT / name).rglob("*.py")}
    files |= {plugin.file for plugins in registry.plugins.values() for plugin in plugins.values()}
    lines = (f"{os.path.relpath(file, ROOT)}\0{file_digest(file)}\n" for file in sorted(files))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
