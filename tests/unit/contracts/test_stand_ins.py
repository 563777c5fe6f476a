"""With stand-ins, a file can be imported that needs torch for what a plan does not need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adaptbench.contracts.plugins import ROOT
from adaptbench.contracts.stand_ins import StandIn, StandInError

torch: Any = StandIn("torch")


def test_names_lead_to_names() -> None:
    functional = torch.nn.functional
    assert isinstance(functional, StandIn) and functional._name == "torch.nn.functional"
    assert isinstance(torch.tensor([1, 2]), StandIn)
    with pytest.raises(AttributeError):
        torch.__version__  # noqa: B018


def test_classes_inherit() -> None:
    class Network(torch.nn.Module):  # type: ignore[misc]
        size = 3

    class Method(Network, torch.nn.Module):  # type: ignore[misc]
        @torch.no_grad()
        def predict(self) -> int:
            return self.size

    assert Method.__mro__ == (Method, Network, object)
    assert Method().predict() == 3


def test_decorators_give_back_what_they_decorate() -> None:
    @torch.register_module()
    @dataclass
    class Head:
        width: int

    assert Head(3).width == 3


def test_annotations() -> None:
    assert Callable[[torch.Tensor | None], int | torch.utils.Parameter[int]]


@pytest.mark.parametrize(
    "look",
    [bool, len, list, str, repr, lambda it: it == 3, lambda it: f"{it}", lambda it: 3 in it],
)
def test_nobody_looks_into_one(look: Callable[[Any], object]) -> None:
    with pytest.raises(StandInError, match="is_available"):
        look(torch.cuda.is_available())


def attempted(work: str, folder: Path) -> str:
    """What ``print(attempt(work))`` prints in a new process."""
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    code += f"from adaptbench.contracts import plugins, stand_ins\n{work}\n"
    code += "print(stand_ins.attempt(work), 'torch' in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    assert not done.stderr
    return done.stdout


def test_the_copy_ends_with_the_work(tmp_path: Path) -> None:
    work = "def work():\n    import torch.nn.functional\n    print('done', stand_ins.active())\n    return 3"
    assert attempted(work, tmp_path) == "done True\n3 False\n"


@pytest.mark.parametrize(
    "line", ["if torch.cuda.is_available(): pass", "for x in torch.ones(3): pass", "torch.pi < 4", "1 / 0"]
)
def test_what_fails_is_to_be_done_without(line: str, tmp_path: Path) -> None:
    work = f"def work():\n    import torch\n    {line}\n    return 0"
    assert attempted(work, tmp_path) == "None False\n"


def test_a_plug_in_that_needs_more_is_not_called_broken(tmp_path: Path) -> None:
    method = "import torch\nWEIGHTS = [float(w) for w in torch.ones(3)]\n"
    method += "class Mine:\n    name = 'mine'\n    title = 'Mine'\n    tags = ()\n"
    (tmp_path / "mine.py").write_text(method)
    work = "from pathlib import Path\nplugin = plugins.discover([Path('mine.py')]).find('method', 'mine')\n"
    work += "def work():\n    try:\n        plugins.load(plugin)\n    except Exception:\n        return 0\n    return 0"
    assert attempted(work, tmp_path) == "None False\n"


def test_output_that_is_collected_is_not_lost(tmp_path: Path) -> None:
    work = "import contextlib, io\nwork = lambda: 0\nwith contextlib.redirect_stdout(io.StringIO()):\n"
    work += "    inside = stand_ins.attempt(work)\nprint(inside)"
    assert attempted(work, tmp_path) == "None\n0 False\n"
