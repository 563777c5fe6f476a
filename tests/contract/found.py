"""The plug-ins that are tested: those of the checkout, the examples of docs/, and those of --plugins."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from adaptbench.contracts import plugins

DOCS = plugins.ROOT / "docs"
#: A complete example in the documentation: a Python block whose first line is the name of its file.
_EXAMPLE = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def example_folder() -> Path:
    """A temporary folder with the complete examples of docs/*.md, one file each."""
    folder = Path(tempfile.mkdtemp(prefix="adaptbench-docs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for page in sorted(DOCS.glob("*.md")):
        for name, code in _EXAMPLE.findall(page.read_text(encoding="utf-8")):
            (folder / name).write_text(code, encoding="utf-8")
    return folder


@cache
def _examples(extra: tuple[Path, ...]) -> tuple[Path, ...]:
    known = plugins.discover(extra).plugins
    names = {name for kind in plugins.KINDS for name in known[kind]}
    return tuple(path for path in sorted(example_folder().iterdir()) if path.stem not in names)


@cache
def _registry(extra: tuple[Path, ...]) -> plugins.Registry:
    return plugins.discover([*_examples(extra), *extra])


def examples(extra: Iterable[Path] = ()) -> list[Path]:
    """Files of the examples, without those that somebody has copied out of the page."""
    return list(_examples(tuple(extra)))


def registry(extra: Iterable[Path] = ()) -> plugins.Registry:
    """Everything found, with the files and folders in ``extra``."""
    return _registry(tuple(extra))
