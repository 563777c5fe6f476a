"""YAML files that users write: read strictly, with errors that name the line and the key."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from adaptbench.errors import UsageError, did_you_mean
from adaptbench.storage.plain_files import read_text

Model = TypeVar("Model", bound=BaseModel)

#: More than any file of settings has. Units: bytes; letters.
_LARGEST, _LONGEST = 64 << 10, 256 << 10


def load(path: Path) -> tuple[dict[str, Any], yaml.Node]:
    """The mapping that a YAML file holds, and its tree with the lines.

    Raises:
        UsageError: the file cannot be read, is too large or too deep, is no YAML mapping, or states a key twice.
    """
    try:
        content, tree = _loaded(read_text(path, _LARGEST))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror or error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        said = " ".join(str(getattr(error, "problem", error)).split())
        raise UsageError(f"{path}{line}: this is no YAML: {said}.") from error
    except RecursionError as error:
        raise UsageError(f"{path}: it is nested too deeply for a file of settings.") from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise UsageError(f"{path}: a value cannot be read: {error}.") from error  # no such day, no such tag
    if not isinstance(content, dict) or tree is None:
        raise UsageError(f"{path}, line 1: expected keys with values, like 'name: value'.")
    for key, line_number in _repeated(tree):
        raise UsageError(f"{path}, line {line_number}, key {key!r}: it is stated twice. Keep one.")
    return content, tree


def _loaded(text: str) -> tuple[Any, yaml.Node | None]:
    """What a text says, and its tree, if it is of a bearable size also with every alias written out."""
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    if tree is not None and _size(tree, {}) > _LONGEST:
        raise ValueError(f"with its aliases written out it has more than {_LONGEST:,} letters")
    content = yaml.safe_load(text)
    repr(content)  # which a number of too many digits has not
    return content, tree


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Letters and values in a tree, of which aliases stand for as many as what they repeat; inf in a circle."""
    if isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value)
    if id(node) not in known:
        known[id(node)] = math.inf  # what holds itself
        pairs = isinstance(node, yaml.MappingNode)
        inner = itertools.chain.from_iterable(node.value) if pairs else node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in inner)
    return known[id(node)]


def validated(model: type[Model], path: Path) -> Model:
    """The content of a YAML file as ``model``.

    Raises:
        UsageError: it does not fit; names line and key.
    """
    content, tree = load(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # Where a value may be of several kinds, each of them complains; who looked deepest knows best.
        deepest = max(error.errors(), key=lambda found: len(_keys(tree, found["loc"])))
        raise UsageError(_sentence(path, tree, _keys(tree, deepest["loc"]), deepest, model)) from error


def wrong(path: Path, keys: Sequence[str | int], problem: str) -> UsageError:
    """Error about the value of a key, for checks that a model cannot make."""
    _, tree = load(path)
    return UsageError(f"{path}, line {_line(tree, keys)}, key {'.'.join(map(str, keys))!r}: {problem}")


def place(path: Path, keys: Sequence[str | int], stated: Path) -> Path:
    """A folder or file that is stated relative to the YAML file; it need not be there.

    Raises:
        UsageError: there can be no such path: it is too long, or a link that leads to itself.
    """
    try:
        found = (path.parent / stated).resolve()
        found.exists()
        return found
    except (OSError, RuntimeError, ValueError) as error:
        raise wrong(path, keys, f"there can be no such path: {error}.") from error


def problem(error: Any) -> str:
    """What is wrong with a value, in a sentence, from an error of a model's validation."""
    found = f", found {error['input']!r}" if isinstance(error["input"], str | int | float) else ""
    return {"extra_forbidden": "there is no such key."}.get(error["type"], f"{error['msg']}{found}.")


def _sentence(path: Path, tree: yaml.Node, keys: list[str | int], error: Any, model: type[BaseModel]) -> str:
    place = f"{path}, line {_line(tree, keys)}"
    if error["type"] == "missing":
        key = ".".join(map(str, [*keys, error["loc"][-1]]))
        return f"{place}, key {key!r}: it is missing."
    unknown = error["type"] == "extra_forbidden" and keys
    meant = did_you_mean(str(keys[-1]), _known_keys(model, keys[:-1])) if unknown else ""
    return f"{place}, key {'.'.join(map(str, keys)) or 'file'!r}: {problem(error)}{meant}"


def _known_keys(model: type[BaseModel], keys: Sequence[str | int]) -> Iterable[str]:
    """The keys that a model has below some keys."""
    for key in keys:
        if key in model.model_fields:  # else it is a name, or a number in a list
            inner = _model_in(model.model_fields[str(key)].annotation)
            if inner is None:
                return ()
            model = inner
    return model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field, or of the items or values of one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _keys(tree: yaml.Node, location: Sequence[str | int]) -> list[str | int]:
    """The parts of a location that are keys or numbers in the file; models add names of types to it."""
    found: list[str | int] = []
    node: yaml.Node | None = tree
    for part in location:
        inner = None if node is None else _child(node, part)
        if inner is not None:
            found.append(part)
            node = inner[1]
    return found


def _line(tree: yaml.Node, keys: Sequence[str | int]) -> int:
    """Line of a key, from 1; of the nearest one above it where there is none."""
    line, node = tree.start_mark.line, tree
    for key in keys:
        inner = _child(node, key)
        if inner is None:
            break
        line, node = inner
    return line + 1


def _child(node: yaml.Node, key: str | int) -> tuple[int, yaml.Node] | None:
    """Line from 0, and value, of a key of a mapping or an item of a list."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return name.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line, node.value[key]
    return None


def _repeated(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """Keys that a mapping states again, with their lines."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if name.value in seen:
                yield name.value, name.start_mark.line + 1
            seen.add(name.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
