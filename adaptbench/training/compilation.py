"""Compiled parts: torch's compiler makes faster code of the forward and backward pass of encoders and decoders.

Only the forward pass of a part (`adaptbench.adaptation.parts`) is replaced, so that parameters keep their names. Every
size of images has code of its own: what is computed must not depend on which sizes came before, as it would with
torch's dynamic sizes, or a training that was taken up again would end with other bits.

A part is compiled as a whole, with its backward pass, before any of it runs. So one that cannot be compiled has done
nothing yet when that is found out; it runs as it is from then on.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
import torch._dynamo
import torch._functorch.config
import torch._inductor.config
from torch import nn
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

from adaptbench.adaptation.parts import parts
from adaptbench.errors import InterruptedTrainingError
from adaptbench.records.compilation import Compilation

#: What makes the code.
BACKEND: Final = "inductor"
#: As many sizes and modes of a part are compiled, student and teacher together.
MOST_GRAPHS: Final = 32
_REASON_LENGTH = 200


class Compiler:
    """Compiles the parts of a method when they first run, and knows which do.

    Args:
        method: its parts lie on their device.
        say: told once of each part that cannot be compiled, and why.
        should_stop: asked then: who stops a training may have stopped the C++ compiler with it.
    """

    def __init__(
        self,
        method: nn.Module,
        say: Callable[[str], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        _settle()
        self._say, self._should_stop = say, should_stop
        self._compiled: set[str] = set()
        self._uncompiled: set[str] = set()
        names = {module: name for name, module in method.named_modules()}
        for part in parts(method):
            part.forward = _Compiled(names[part], part.forward, self)

    @property
    def compilation(self) -> Compilation:
        """How it went so far; parts that never ran are not listed."""
        return Compilation(
            compiled=sorted(self._compiled - self._uncompiled), uncompiled=sorted(self._uncompiled)
        )

    def take_up(self, before: Compilation) -> None:
        """Goes on where a training was interrupted: what could not be compiled is not tried again."""
        self._compiled.update(before.compiled)
        self._uncompiled.update(before.uncompiled)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Within the block all parts run as they are."""
        with torch.compiler.set_stance("force_eager"):
            yield

    def tries(self, name: str) -> bool:
        """Whether a part is to be compiled."""
        return name not in self._uncompiled

    def note(self, name: str) -> None:
        """A part ran compiled."""
        self._compiled.add(name)

    def give_up(self, name: str, error: Exception) -> None:
        """A part cannot be compiled.

        Raises:
            InterruptedTrainingError: asked to stop.
        """
        if self._should_stop():
            raise InterruptedTrainingError(f"Stopped while {name} was compiled; run again to go on.")
        self._uncompiled.add(name)
        self._say(f"{name} is trained uncompiled: {_reason(error)}")


class _Compiled:
    """A forward pass that is compiled, or as it was where that cannot be."""

    def __init__(self, name: str, forward: Callable[..., Any], compiler: Compiler) -> None:
        self._name, self._forward, self._compiler = name, forward, compiler
        self._fast: Callable[..., Any] | None = None

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if not self._compiler.tries(self._name):
            return self._forward(*inputs, **named)
        try:
            outputs = self._made()(*inputs, **named)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            self._compiler.give_up(self._name, error)
            return self._forward(*inputs, **named)
        self._compiler.note(self._name)
        return outputs

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy of a part computes with its own weights, and is not compiled."""
        return copy.deepcopy(self._forward, memo)

    def _made(self) -> Callable[..., Any]:
        if self._fast is None:
            self._fast = _compile(self._forward)
        return self._fast


def _compile(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Raises TorchDynamoException where torch would leave it as it is without a word, or cannot compile at all."""
    if torch._dynamo.config.disable or os.environ.get("TORCHDYNAMO_DISABLE") == "1":
        raise TorchDynamoException("TORCH_COMPILE_DISABLE or TORCHDYNAMO_DISABLE is set")
    try:
        return torch.compile(forward, fullgraph=True, dynamic=False, backend=BACKEND)
    except RuntimeError as error:  # this version of Python, this system
        raise TorchDynamoException(str(error)) from error


def _settle() -> None:
    """How this process compiles: by itself, since processes that a sealed one starts are out of sight of its hook."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    torch._inductor.config.compile_threads = 1
    # Kernels are chosen by rule and not by a race, which would end differently from time to time.
    torch._inductor.config.deterministic = True
    torch._functorch.config.force_non_lazy_backward_lowering = True
    torch._dynamo.config.recompile_limit = MOST_GRAPHS
    # Networks of one kind share code; not that of one with a hook if the other has none.
    torch._dynamo.config.skip_nnmodule_hook_guards = False


def _reason(error: Exception) -> str:
    """The first lines of what torch says, as one."""
    if isinstance(error, FailOnRecompileLimitHit):
        return f"it has seen more than {MOST_GRAPHS} sizes and modes"
    text = " ".join(str(error).partition("\n\n")[0].split())
    return text if len(text) <= _REASON_LENGTH else f"{text[:_REASON_LENGTH]} ..."
