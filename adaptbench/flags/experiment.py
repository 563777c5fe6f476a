"""A whole experiment in a YAML file, or as keywords in Python: a key per flag of ``run``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, StrictInt, ValidationError, create_model

from adaptbench import __version__
from adaptbench.contracts.settings import parse_value
from adaptbench.errors import UsageError, unknown_name
from adaptbench.flags.options import Tracking
from adaptbench.flags.run import Run
from adaptbench.records import formatting
from adaptbench.storage import yaml_file
from adaptbench.storage.atomic import write_text

#: Flags about the file itself.
_ABOUT_FILE = frozenset({"config", "write_config"})
#: Flags about one call, which no file that is written holds.
_ABOUT_CALL = _ABOUT_FILE | {"dry_run", "yes", "launcher", "cluster", "requeue"}
#: Flags of the form KEY=VALUE: mappings in a file, of which the command line replaces single keys.
_MAPPINGS: dict[str, Any] = {"set": dict[str, Any], "data_path": dict[str, Path]}
_TRACKING = tuple(field.name for field in fields(Tracking))


def completed(command: Run, arguments: Iterable[str]) -> Run:
    """The flags of the file ``command.config``, with those among ``arguments`` in their place."""
    assert command.config is not None
    named = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in arguments if word[:1] == "-"}
    stated = _stated(yaml_file.validated(_model(), command.config))
    for key in _MAPPINGS:
        texts = (*stated.get(key, ()), *getattr(command, key))
        stated[key] = tuple({text.partition("=")[0]: text for text in texts}.values())
    return _with(
        command, {key: value for key, value in stated.items() if key in _MAPPINGS or key not in named}
    )


def of_keywords(keywords: Mapping[str, Any]) -> Run:
    """The flags that ``keywords`` mean; a UsageError for an unknown one or a value of the wrong type."""
    model = _model()
    for key in keywords:
        if key not in model.model_fields:
            raise unknown_name("keyword", key, model.model_fields)
    try:
        return _with(Run(), _stated(model.model_validate(keywords)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{place}: {yaml_file.problem(first)}") from error


def save(command: Run, path: Path) -> None:
    """Writes a file with which --config asks for the same jobs."""
    values = {key: value for key, value in _values(command) if value not in (None, (), False)}
    text = yaml.safe_dump({key: _plain(key, value) for key, value in values.items()}, sort_keys=False)
    heading = f"# Flags of adaptbench {__version__}, for adaptbench --config {path.name}"
    write_text(path, f"{heading}\n{text}", "--write-config")


def _values(command: Run) -> Iterable[tuple[str, Any]]:
    kept = [field.name for field in fields(Run) if field.name not in _ABOUT_CALL | {"tracking"}]
    yield from ((key, getattr(command, key)) for key in kept)
    yield from ((key, getattr(command.tracking, key)) for key in _TRACKING)


def _plain(key: str, value: Any) -> Any:
    """A flag's value as YAML has it."""
    if key in _MAPPINGS:
        pairs = (text.partition("=") for text in value)
        return {name: _setting(text) if key == "set" else text for name, _, text in pairs}
    if isinstance(value, tuple):
        return [_plain("", item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _setting(text: str) -> Any:
    """The value that ``text`` means, if it is written just so, else the text, which means the same in a file."""
    value = parse_value(text)
    return value if _text(value) == text else text


def _text(value: Any) -> str:
    """A setting's value as the command line has it."""
    return str(value) if isinstance(value, str | Path) else json.dumps(value)


def _stated(model: BaseModel) -> dict[str, Any]:
    """What a file or keywords state, as the flags have it."""
    stated = {key: getattr(model, key) for key in model.model_fields_set}
    for key in _MAPPINGS.keys() & stated.keys():
        stated[key] = tuple(
            f"{name}={_text(value)}" for name, value in formatting.flatten(stated[key]).items()
        )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in stated.items()}


def _with(command: Run, values: Mapping[str, Any]) -> Run:
    tracking = replace(command.tracking, **{key: values[key] for key in _TRACKING if key in values})
    return replace(command, tracking=tracking, **{key: values[key] for key in values if key not in _TRACKING})


def _model() -> type[BaseModel]:
    """What a file may hold: the types of the flags, with lists for tuples."""
    hints = {**get_type_hints(Run), **get_type_hints(Tracking), **_MAPPINGS}
    keys = {*(field.name for field in fields(Run)), *_TRACKING} - _ABOUT_FILE - {"tracking"}
    types = {key: (_in_a_file(hints[key]), None) for key in sorted(keys)}
    return create_model("Experiment", __config__=ConfigDict(extra="forbid"), **types)  # type: ignore[call-overload, no-any-return]


def _in_a_file(hint: Any) -> Any:
    """The type of a flag's value in a file: a list for a tuple, and no number for true."""
    if get_origin(hint) is tuple:
        return list[_in_a_file(get_args(hint)[0])]  # type: ignore[misc]
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return Union[tuple(map(_in_a_file, get_args(hint)))]  # noqa: UP007 (made from a tuple)
    return StrictInt if hint is int else hint
