"""The page of building blocks holds what is public and sourced, and nothing else."""

from __future__ import annotations

from pathlib import Path

from adaptbench.handbook.building_blocks import building_blocks_page

MIX = '''"""Mixes."""

def mix() -> None:
    """Mixes two images. Shape: unchanged.

    Source: A Paper,
        section 3; docs/quirks.md#s35 and #s36.

    Example:
        >>> mix()
    """

def _hidden() -> None:
    """Not shown."""
'''


def test_modules_are_found_and_described(tmp_path: Path) -> None:
    for name, text in {
        "adaptation/mix": MIX,
        "data/crop": MIX,
        "data/files": "def read() -> None: ...\n",
    }.items():
        file = tmp_path / "package" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    page = building_blocks_page(tmp_path / "package")
    source = "A Paper, section 3; [S35](quirks.md#s35) and [S36](quirks.md#s36)"
    assert page.count(f"| `mix` | Mixes two images. | {source} |") == 2
    assert "### [crop](../package/data/crop.py)\n\nMixes.\n" in page
    assert "hidden" not in page
    assert "files" not in page
