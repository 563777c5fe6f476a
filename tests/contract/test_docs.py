"""The examples of docs/ do what the pages say (they also go through all other tests of this folder); generated pages
are up to date; links lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from forks import fork_jobs

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.handbook.write import stale, write_pages

from . import found

MINENT, WARM_START, STUDY = "my_minent", "my_warm_start", "my_study.py"


def test_the_pages_hold_the_examples() -> None:
    names = {path.name for path in found.example_folder().iterdir()}
    assert names >= {f"{MINENT}.py", f"{WARM_START}.py", "my_city.py", "gta5_to_my_city.py", STUDY}
    assert len((found.example_folder() / f"{MINENT}.py").read_text().splitlines()) < 60


def test_all_examples_run_together(my_city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["--methods", MINENT, WARM_START, "--limit", "2", "--device", "cpu"]
    command += ["--benchmarks", "gta5_to_my_city", "--plugins", *map(str, found.examples())]
    command += ["--data-path", f"my_city={my_city}", "--out", str(tmp_path / "out")]
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fork_jobs(monkeypatch)
    assert main(command) == 0
    records = sorted((tmp_path / "out" / "runs").rglob("record.json"))
    found_records = {record["method"]: record for record in (json.loads(p.read_text()) for p in records)}
    assert found_records.keys() == {MINENT, WARM_START}
    assert all(record["smoke"] for record in found_records.values())
    stages = [p.name for p in (tmp_path / "out" / "runs").rglob("stages/*")]
    assert sorted(stages) == ["adapt", "source", "train"]


def test_generated_pages_are_up_to_date() -> None:
    """A plug-in without a page makes none stale: a new file in methods/ or datasets/ needs no other edit."""
    wrong = [str(path.relative_to(plugins.ROOT)) for path in stale(plugins.discover())]
    assert not wrong, f"Run `python run_all.py docs`; not up to date: {', '.join(wrong)}"


def test_stale_missing_and_left_over_pages_are_told_apart(tmp_path: Path) -> None:
    registry = plugins.discover()
    one = plugins.Registry(
        {**registry.plugins, "method": {"dacs": registry.find("method", "dacs")}, "dataset": {}}, ()
    )
    assert {path.name for path in write_pages(one, tmp_path)} == {
        "dacs.md",
        "README.md",
        "building-blocks.md",
    }
    assert write_pages(one, tmp_path) == []
    assert stale(one, tmp_path) == []
    (tmp_path / "methods/dacs.md").write_text("changed")
    (tmp_path / "methods/gone.md").write_text("of a method that was removed")
    assert [path.name for path in stale(one, tmp_path)] == ["dacs.md", "gone.md"]
    write_pages(one, tmp_path)
    (tmp_path / "methods/dacs.md").unlink()
    assert [path.name for path in stale(one, tmp_path)] == ["README.md"]  # it still lists the method


_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def markdown_files() -> list[Path]:
    """The pages that belong to the repository."""
    found = [
        *plugins.ROOT.glob("*.md"),
        *(plugins.ROOT / "docs").rglob("*.md"),
        *plugins.ROOT.glob("tests/**/*.md"),
    ]
    return sorted(
        [*found, *plugins.ROOT.glob("results/minicity/*.md"), *plugins.ROOT.glob("results/published/*.md")]
    )


def anchors(page: Path) -> set[str]:
    """The anchors of a page: its own, and those of headings as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = set(re.findall(r'<a id="([^"]+)">', text))
    return named | {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(plugins.ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Links within the repository; none is followed outside."""
    for target in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), f"{page.name}: {target} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target} names no heading"
