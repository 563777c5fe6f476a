"""Parts of pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from adaptbench.contracts.plugins import Plugin

_KEY = re.compile(r"^([A-Z][A-Za-z ]{2,20}): ", re.MULTILINE)
_NOTE = (
    "<!-- Written by `python run_all.py docs`. Do not edit: change the plug-in, or what it was made from. -->"
)


def docstring_of(plugin: Plugin) -> str:
    """That of a plug-in's file, else its title."""
    return ast.get_docstring(ast.parse(plugin.file.read_text(encoding="utf-8"))) or plugin.title


def page(title: str, blocks: Sequence[str]) -> str:
    """A page of blocks; empty ones are left out."""
    return "\n\n".join([f"# {title}", _NOTE, *filter(None, blocks)]) + "\n"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; empty without rows."""
    if not rows:
        return ""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def section(title: str, *blocks: str) -> str:
    """A heading with what stands under it; empty without anything."""
    found = [block for block in blocks if block]
    return "\n\n".join([f"## {title}", *found]) if found else ""


def prose(docstring: str) -> str:
    """A docstring without its first line; ``Key: text`` lines become a list."""
    _, _, rest = docstring.strip().partition("\n")
    return _inline(_KEY.sub(r"- **\1.** ", rest).strip())


def first_line(docstring: str) -> str:
    """The first line of a docstring as a sentence."""
    return _inline(docstring.strip().split("\n")[0])


def _inline(text: str) -> str:
    """Code spans as Markdown has them; ``<name>`` is no HTML."""
    return re.sub(r"``([^`]+)``", r"`\1`", text).replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
