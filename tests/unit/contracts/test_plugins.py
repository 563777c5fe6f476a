"""Discovery reads literals, imports nothing, and one bad file hides no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adaptbench.contracts import plugins
from adaptbench.errors import PluginError, UsageError

METHOD = 'class {cls}:\n    name = "{name}"\n    title = "A title"\n    paper = None\n    tags = ("a",)\n'


def write(folder: Path, name: str, text: str | None = None) -> Path:
    file = folder / f"{name}.py"
    file.write_text(METHOD.format(cls=name.title(), name=name) if text is None else text)
    return file


def test_the_checkout_is_found_without_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = plugins.discover()
    assert {"dacs", "oracle", "source_only"} <= set(registry.names("method"))
    assert {"camvid", "cityscapes", "gta5"} <= set(registry.names("dataset"))
    assert "gta5_to_cityscapes" in registry.names("benchmark")
    assert registry.broken == ()
    assert registry.find("method", "dacs").title == "DACS"


def test_files_and_folders_are_added(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file, _ = write(tmp_path, "mine"), write(tmp_path / "folder", "yours")
    write(tmp_path / "folder", "_helper", "this is ( no Python")
    write(tmp_path / "folder", "notes", "X = 1\n")
    found = plugins.discover([file, tmp_path / "folder"])
    assert {"mine", "yours"} <= set(found.names("method"))
    assert found.broken == ()
    assert found.find("method", "mine").file == file


def test_a_missing_path() -> None:
    with pytest.raises(PluginError, match="--plugins /nowhere: no such file or folder"):
        plugins.discover([Path("/nowhere")])


def test_one_name_twice(tmp_path: Path) -> None:
    write(tmp_path, "dacs")
    with pytest.raises(
        PluginError, match=r"The method 'dacs' is defined twice: in .*methods/dacs.py and in .*Rename"
    ):
        plugins.discover([tmp_path])
    twice = write(tmp_path, "twice", METHOD.format(cls="A", name="one") + METHOD.format(cls="B", name="one"))
    with pytest.raises(PluginError, match="defined twice"):
        plugins.discover([twice])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def (:\n", "SyntaxError"),
        ("class A:\n    name = 'a'\n    title = 'no tags'\n", "defines no plug-in.*name, title, tags"),
        ("\0", "null bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_others_are_found(
    tmp_path: Path, text: str, reason: str
) -> None:
    import re

    good, bad = write(tmp_path, "good"), write(tmp_path, "bad", text)
    registry = plugins.discover([good, bad])
    assert "good" in registry.names("method")
    ((file, why),) = registry.broken
    assert file == bad
    assert re.search(reason, why, re.DOTALL)
    with pytest.raises(UsageError, match=rf"Unknown method 'bad'.*could not be used: {bad}"):
        registry.find("method", "bad")


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(3)", "import no_such_module", "del Bad"])
def test_an_import_that_fails_names_the_file(tmp_path: Path, code: str) -> None:
    file = write(tmp_path, "bad", METHOD.format(cls="Bad", name="bad") + code + "\n")
    plugin = plugins.discover([file]).find("method", "bad")
    with pytest.raises(
        PluginError, match=rf"The plug-in file {file} cannot be imported: \w+: .*leave out 'bad'"
    ):
        plugins.load(plugin)


def test_a_users_method_can_extend_ours(tmp_path: Path) -> None:
    text = "from methods.dacs import DACS\n" + METHOD.format(cls="Mine(DACS)", name="mine")
    mine = plugins.load(plugins.discover([write(tmp_path, "mine", text)]).find("method", "mine"))
    ours = plugins.load(plugins.discover().find("method", "dacs"))
    assert issubclass(mine, ours)
    assert mine.name == "mine"


def test_an_installed_module_called_datasets_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("raise ImportError('the wrong datasets')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from adaptbench.contracts import plugins\n"
        "r = plugins.discover()\n"
        "print(plugins.load(r.find('dataset', 'gta5')).name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "gta5", done.stderr


@pytest.mark.parametrize(
    "arguments", [["ls"], ["--help"], ["ls", "--help"], ["report", "--help"], ["--frobnicate"]]
)
def test_listing_and_help_do_not_load_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom adaptbench.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'mmengine', 'cv2', 'numpy', 'pandas'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "[]", done.stderr
