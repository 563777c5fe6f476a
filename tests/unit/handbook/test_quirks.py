"""docs/quirks.md: every line has its own anchor, what is cited is there, and the modules that it names exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from adaptbench.contracts import plugins

PAGE = plugins.ROOT / "docs" / "quirks.md"
CODE = ("adaptbench", "methods", "datasets", "benchmarks", "studies", "tests")
_ROW = re.compile(r'^\| <a id="(\w+)"></a>(\w+) \|.*\| ([^|]+) \|$', re.MULTILINE)
_CITED = re.compile(r"docs/quirks\.md((?:(?:,\s+|\s+and\s+|\s+to\s+)?#\w+)+)")
_UNNUMBERED = re.compile(r"\bquirks?\s+\d", re.IGNORECASE)


def sources() -> Iterator[Path]:
    """The Python files of the repository but this one."""
    files = (file for folder in CODE for file in (plugins.ROOT / folder).rglob("*.py"))
    return (file for file in files if file != Path(__file__))


def rows() -> list[tuple[str, str, str]]:
    """Anchor, name and modules of every line."""
    return _ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_anchors_are_unique_and_named_like_their_line() -> None:
    anchors = [anchor for anchor, _, _ in rows()]
    assert len(anchors) == PAGE.read_text(encoding="utf-8").count("<a id=")
    assert len(anchors) == len(set(anchors))
    assert anchors == [name.lower() for _, name, _ in rows()]


def test_what_the_code_cites_is_on_the_page() -> None:
    anchors = {anchor for anchor, _, _ in rows()}
    cited = {
        (anchor, str(file.relative_to(plugins.ROOT)))
        for file in sources()
        for group in _CITED.findall(file.read_text(encoding="utf-8"))
        for anchor in re.findall(r"#(\w+)", group)
    }
    assert cited, "no docstring cites a quirk"
    assert [line for line in sorted(cited) if line[0] not in anchors] == []


def test_no_docstring_cites_a_bare_number() -> None:
    bare = [str(file) for file in sources() if _UNNUMBERED.search(file.read_text(encoding="utf-8"))]
    assert bare == []


def test_the_modules_that_the_page_names_exist() -> None:
    stems = {file.stem for file in sources()}
    named = {name for _, _, modules in rows() for name in re.findall(r"`(\w+)`", modules)}
    assert named <= stems, sorted(named - stems)
