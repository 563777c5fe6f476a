"""What every plug-in file must keep, whatever its kind."""

from __future__ import annotations

import re

import pytest

from adaptbench.contracts import plugins
from adaptbench.contracts.plugins import KINDS, Plugin


def test_every_file_can_be_read(registry: plugins.Registry) -> None:
    assert not registry.broken, "\n".join(f"{file}: {reason}" for file, reason in registry.broken)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_named_like_what_it_defines(kind: str, registry: plugins.Registry) -> None:
    for plugin in registry.plugins[kind].values():
        place = (plugin.file.stem,)
        if kind == "study" and plugins.in_checkout(plugin.file):
            place = plugin.file.relative_to(plugins.ROOT / "studies").with_suffix("").parts
        # A dataset may have several versions in one file: mapillary.py defines mapillary and mapillary_v2.
        version = kind == "dataset" and plugin.name.startswith(f"{plugin.file.stem}_")
        assert "/".join(place) == plugin.name or version, f"{plugin.file} defines {plugin.name!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_names_titles_and_classes(kind: str, registry: plugins.Registry) -> None:
    for name, plugin in registry.plugins[kind].items():
        pattern = r"[a-z][a-z0-9_-]*(/[a-z][a-z0-9_-]*)*" if kind == "study" else r"[a-z_][a-z0-9_]*"
        assert re.fullmatch(pattern, name), f"{plugin.file}: name {name!r}"
        assert plugin.title.strip() == plugin.title != "", f"{plugin.file}: title {plugin.title!r}"
        loaded = plugins.load(plugin)
        assert loaded.name == name
        assert loaded.__doc__, f"{plugin.file}: {plugin.class_name} has no docstring"


def require_paper(plugin: Plugin) -> None:
    paper = plugin.literals.get("paper")
    assert "paper" in plugin.literals, "paper is 'arXiv:NNNN.NNNNN', or None"
    assert paper is None or re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", paper), paper


def test_a_study_says_where_it_comes_from(study: Plugin) -> None:
    require_paper(study)
    assert isinstance(study.literals["table"], str)


def test_a_method_says_where_it_comes_from(method: Plugin) -> None:
    require_paper(method)
    tags = method.literals["tags"]
    assert isinstance(tags, tuple)
    assert all(isinstance(tag, str) and tag for tag in tags)
