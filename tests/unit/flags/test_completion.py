"""What the tab key completes."""

from __future__ import annotations

import io
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from adaptbench.cli import main
from adaptbench.flags import completion

#: Bash: what the completion offers for the last of the words.
_ASK = (
    'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tyro_adaptbench; echo "${COMPREPLY[@]}"'
)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["--print-completion", "bash"]) == 0
    file: Path = tmp_path_factory.mktemp("completion") / "adaptbench.bash"
    file.write_text(printed.getvalue())
    return file


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("re", "report"),
        ("--me", "--methods"),
        ("--methods dacs --se", "--seeds --set"),
        ("run --write", "--write-config"),
        ("report --p", "--publish --page"),
        ("report --wandb on", "online"),
        ("ls --j", "--json"),
    ],
)
def test_verbs_flags_and_choices(script: Path, words: str, offered: str) -> None:
    command = ["bash", "-c", _ASK, "bash", str(script), "adaptbench", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == offered


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", shell]) == 0
    assert "adaptbench" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["fishy"], []])
def test_an_unknown_shell(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", *words]) == 2
    assert "Known: bash, fish, zsh" in capsys.readouterr().err
