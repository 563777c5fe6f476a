"""Strategies for what users and strangers may put into files: values of any kind, and slightly wrong documents."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

#: A quarter of the examples that a profile asks for: 25 unless one is named.
fuzzed = settings(deadline=None, max_examples=settings.default.max_examples // 4)

#: Texts that other programs understand as something else.
ODD_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "~",
        "null",
        "nan",
        "inf",
        "-inf",
        "true",
        "1e999",
        "0x10",
        "../../x",
        "/",
        "/etc/passwd",
        ".",
    ),
    *(
        "..",
        "{stem}",
        "{stem}}",
        "{stem!r}",
        "{0}",
        "{",
        "**",
        "***",
        "[",
        "*/..",
        "a//b",
        "\\",
        "a\nb",
        "=1+1",
        "\ud7ff",
    ),
    *(
        "!!python/object/apply:os.system [true]",
        "&a [*a]",
        "<<",
        "é",
        "\u202e",
        "x" * 300,
        "1" * 5000,
        "2024-99-99",
    ),
)
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-300, 300)
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400])
    | st.floats()
    | st.sampled_from(ODD_TEXTS)
    | st.text(max_size=8)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(ODD_TEXTS), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, base: Any, values: st.SearchStrategy[Any] = VALUES) -> Any:
    """The document ``base`` with one to three values replaced, taken away, added or moved."""
    document = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        holder = _holder(draw, document)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        kind = draw(st.sampled_from(["replace", "replace", "delete", "add", "copy"]))
        key = draw(st.sampled_from(keys)) if keys else None
        if kind == "add" or key is None:
            new = draw(values)
            if isinstance(holder, dict):
                holder[draw(st.text(max_size=6) | st.sampled_from(ODD_TEXTS))] = new
            else:
                holder.append(new)
        elif kind == "delete":
            del holder[key]
        elif kind == "copy":
            holder[key] = copy.deepcopy(holder[draw(st.sampled_from(keys))])
        else:
            holder[key] = draw(values)
    return document


def _holder(draw: st.DrawFn, document: Any) -> Any:
    """Some mapping or list in a document."""
    here = document
    while draw(st.integers(0, 3)):
        inner = [v for v in (here.values() if isinstance(here, dict) else here) if isinstance(v, dict | list)]
        if not inner:
            break
        here = draw(st.sampled_from(inner))
    return here


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with bytes changed, cut off, taken out or put in."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(changed) - 1)))
        kind = draw(st.sampled_from(["flip", "flip", "cut", "remove", "insert", "repeat"]))
        if kind == "flip" and changed:
            changed[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del changed[place:]
        elif kind == "remove":
            del changed[place : place + draw(st.integers(1, 40))]
        elif kind == "insert":
            changed[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            changed[place:place] = changed[place : place + 60]
    return bytes(changed)
