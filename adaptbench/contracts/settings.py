"""Settings of a training: typed, validated, and resolved from method, network, profile and user."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json
from typing_extensions import TypeVar

from adaptbench.contracts.profiles import MainTraining, Profile
from adaptbench.data.units import ImageCount, Iterations, Length, later
from adaptbench.errors import UsageError, unknown_name
from adaptbench.optim.recipe import AdapterKind, BlockLayer, Recipe

Origin = Literal["published", "transferred"]


class Training(BaseModel):
    """What is trained on what, and for how long."""

    network: str = Field(
        "deeplabv2-r101", description="network plug-in, [daformer-]timm:ENCODER or an mmseg config file"
    )
    pretraining: str = Field(
        "default",
        description="start weights of the encoder: default (the network's own), none (random) or a file",
    )
    adapter: AdapterKind = later(
        "full",
        description="what of the encoder is trained: full (all of it), frozen (nothing), lora, rein or soma",
    )
    lora_rank: int = later(16, ge=1, description="rank of the products that adapter=lora trains")
    lora_alpha: int = later(16, ge=1, description="rank times the factor on these products")
    lora_targets: tuple[BlockLayer, ...] = later(
        ("q", "k", "v", "proj", "fc1", "fc2"),
        min_length=1,
        description="layers that have such a product; LoRA's paper: q and v alone",
    )
    iterations: Iterations = Field(40_000, ge=0, description="training iterations")
    batch_size: ImageCount = Field(2, ge=1, description="images per domain and iteration")
    crop: Length = Field(512, ge=8, description="side of the square training crop in pixels")
    resolution: float = Field(1.0, gt=0, description="factor on the dataset's training size before cropping")
    class_share_limit: float = Field(
        0.75,
        gt=0,
        le=1,
        description="a source crop is drawn again (10 times at most) above this share of one class",
    )


class Settings(Recipe, Training):  # pydantic: fields of the last come first
    """Settings every method has; a method adds its own by subclassing. Sizes are full-size numbers.

    The defaults are those the self-training papers train with (HRDA, arXiv 2204.13132, section 4.1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def taken_from(cls, settings: Settings, **changes: Any) -> Self:
        """The settings of this class as ``settings`` has them, with ``changes``: for a stage of another method."""
        shared = settings.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**shared, **changes})


AnySettings = TypeVar("AnySettings", bound=Settings, default=Settings)


@dataclass(frozen=True)
class Resolved(Generic[AnySettings]):
    """Settings as they are used.

    Attributes:
        settings: every value, in pixels and iterations of the profile.
        origin: ``published`` if a paper states them for this benchmark and network, else ``transferred``.
        overrides: what the user or a study set, where it changes anything.
    """

    settings: AnySettings
    origin: Origin
    overrides: Mapping[str, Any]


def resolve(
    schema: type[AnySettings],
    profile: Profile,
    published: Mapping[str, Any] | None,
    recipe: Mapping[str, Any],
    network: str,
    overrides: Mapping[str, Any],
    stated: Mapping[str, Any] | None = None,
) -> Resolved[AnySettings]:
    """Settings of one training.

    Args:
        schema: the method's settings class; its defaults are the paper's.
        profile: converts lengths, pixel counts, batches and iterations. Values the user sets are taken as they are.
        published: what the paper states for this benchmark and network; None if it states nothing, and then
            the network's own ``recipe`` takes the place of the method's optimiser and schedule.
        recipe: optimiser settings the network declares.
        network: name of the network in use.
        overrides: the user's values, already checked to exist.
        stated: what a study states for this training, as full-size numbers; it goes before paper and recipe.

    Raises:
        UsageError: a value of the wrong type or range.
    """
    stated = stated or {}
    usual = {**(recipe if published is None else published), "network": network}
    where = "--set" if "network" in overrides else "published settings"
    plain = _scaled(_validate(schema, usual, where), profile)
    varied = _scaled(_validate(schema, {**usual, **stated}, "study:"), profile) if stated else plain
    settings = _validate(schema, {**varied, **overrides}, "--set")
    given = {**{key: varied[key] for key in stated}, **overrides}
    changed = {k: v for k, v in given.items() if k == "network" or getattr(settings, k) != plain[k]}
    return Resolved(settings, "transferred" if published is None else "published", changed)


def stated_iterations(settings: Mapping[str, Any]) -> dict[str, int]:
    """Iterations of every stage that states them, by setting; where a schedule would end is another matter."""
    counted = [key for key in settings if key.endswith("iterations") and "schedule" not in key]
    return {key: settings[key] for key in counted if settings[key] is not None}  # none: as of another stage


def parse_value(text: str) -> Any:
    """The value of a ``key=value`` option: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def check_key(schema: type[BaseModel], key: str, owner: str) -> None:
    """Raises UsageError unless ``schema`` has the setting ``key``."""
    if key not in schema.model_fields:
        raise unknown_name(f"setting of {owner}", key, schema.model_fields)


def _scaled(settings: Settings, profile: Profile) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    stated, main = dict(values), MainTraining(settings.iterations, settings.batch_size)
    for name, info in type(settings).model_fields.items():
        convert = _conversion(name, info, stated, profile, main)
        if convert is not None and values[name] is not None:
            values[name] = _each(convert, values[name])
    return values


def _conversion(
    name: str, info: FieldInfo, stated: Mapping[str, Any], profile: Profile, main: MainTraining
) -> Callable[[Any], Any] | None:
    """How a profile converts a setting; None = not at all."""
    if name == "resolution":
        return profile.enlarged
    lengths = profile.of_lengths(stated["resolution"])
    conversions: dict[str, Callable[[Any], Any]] = {
        "length": lengths.length,
        "blur_width": lengths.blur_width,
        "pixel_count": lengths.pixel_count,
        "channels": profile.channels,
        "images": profile.batch,
        "iterations": lambda number: profile.iterations(number, stated[_batch_of(name, stated)], main),
        "decay": lambda share: profile.decay(share, main),
        "side_rate": lambda rate: profile.side_rate(rate, main),
    }
    units = conversions.keys() & _units(info)
    return conversions[units.pop()] if units else None


def _batch_of(name: str, settings: Collection[str]) -> str:
    """The batch size that a number of iterations is counted in: the one with the same prefix, else the main one."""
    sizes = (
        key for key in settings if key.endswith("batch_size") and name.startswith(key[: -len("batch_size")])
    )
    return max(sizes, key=len)


def _each(convert: Callable[[Any], Any], value: Any) -> Any:
    return tuple(map(convert, value)) if isinstance(value, tuple) else convert(value)


def _units(info: FieldInfo) -> set[Any]:
    """What a setting counts, also one that may be None: its unit type is then part of a union."""
    parts = [part.__metadata__ for part in get_args(info.annotation) if get_origin(part) is Annotated]
    return {mark for marks in (info.metadata, *parts) for mark in marks if isinstance(mark, str)}


def _validate(schema: type[AnySettings], values: Mapping[str, Any], where: str) -> AnySettings:
    """The settings with ``values``; types are strict (``true`` is no number), lists stand for tuples."""
    try:
        return schema.model_validate_json(to_json(values), strict=True)
    except ValidationError as error:
        raise UsageError(_explained(schema, error, where)) from error


def _explained(schema: type[BaseModel], error: ValidationError, where: str) -> str:
    """What is wrong with the first wrong value, and what its setting is for."""
    first = error.errors()[0]
    if not first["loc"]:  # values that do not go together
        return f"{where}: {first['msg'].removeprefix('Value error, ')}."
    key = str(first["loc"][0])
    info = schema.model_fields.get(key)
    meaning = f" ({info.description})" if info is not None and info.description else ""
    return f"{where} {key}={first['input']!r}: {key}{meaning} {first['msg'].removeprefix('Input ')}."
