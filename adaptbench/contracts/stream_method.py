"""Methods of test-time adaptation: what a file in methods/ declares whose network changes while it is tested."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ValidationError, create_model
from torch import nn

from adaptbench.contracts.method import Method, Stage
from adaptbench.contracts.settings import Settings
from adaptbench.contracts.task import Task
from adaptbench.errors import UsageError
from adaptbench.networks.inference import Mode, Size, Whole
from adaptbench.test_time.segmenters import Segmenter

#: Whether the prediction of an image is made before or after the network has changed by it.
Predictions = Literal["before", "after"]
#: Of the settings of an adaptation among those of a job, which trains the network before.
PREFIX = "adapt_"
#: The method that stands for the network that does not adapt.
UNADAPTED = "source_only"


def settings_with(adaptation: type[BaseModel], **changes: Any) -> type[Settings]:
    """Settings of the training before, and those of ``adaptation`` with `PREFIX`; ``changes`` are other defaults."""
    fields: dict[str, Any] = {}
    for name, info in adaptation.model_fields.items():
        field = copy(info)
        field.default = changes.get(name, info.default)
        fields[PREFIX + name] = (info.annotation, field)
    return create_model("Settings", __base__=Settings, **fields)


class StreamMethod(Method):
    """Base of all methods that adapt to a stream of test images, from a network that ``source`` has trained.

    A plug-in sets ``predictions``, ``source``, ``Adaptation`` and ``Settings``, and implements `start`. The source is
    closed while the stream lasts, and so are all labels.
    """

    uses_target_images = False
    scored_weights = "adapted"
    predictions: ClassVar[Predictions]
    #: The method of the training before.
    source: ClassVar[type[Method]]
    #: Settings of the adaptation alone, with published defaults.
    Adaptation: ClassVar[type[BaseModel]]

    @classmethod
    @abstractmethod
    def start(cls, network: nn.Module, settings: Any, mode: Mode) -> Segmenter:
        """What predicts the images of a stream, from its beginning.

        Args:
            network: in evaluation mode; it may be changed.
            settings: of `Adaptation`, in pixels of the profile.
            mode: how the network sees an image that it predicts.

        Raises:
            UsageError: the network cannot be adapted in this way.
        """

    @classmethod
    def require_fitting(cls, network: nn.Module, settings: Any, image: Size) -> None:
        """Raises UsageError where network, settings and images of this size, (height, width), do not go together.

        It is asked before anything is trained, with random weights.
        """
        cls.start(network, settings, Whole())

    @classmethod
    def stages(cls, settings: Settings) -> list[Stage]:
        """The training of the source, which all that start from it share, and the stream."""
        before = Stage("source", cls.source, cls.source.Settings.taken_from(settings))
        return [before, Stage("stream", cls, settings, start=0, adapts=True)]

    @classmethod
    def adaptation(cls, settings: Settings) -> BaseModel:
        """The settings of `Adaptation` among those of a job.

        Raises:
            UsageError: a value does not fit.
        """
        given = {name: getattr(settings, PREFIX + name) for name in cls.Adaptation.model_fields}
        return adaptation_settings(cls.Adaptation, given, PREFIX)

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """It needs a benchmark that streams."""
        if task.setting != "tta":
            return (
                "It adapts to a stream of test images, and this benchmark has none: its setting is not tta."
            )
        return super().skip(task)


def adaptation_settings(schema: type[BaseModel], values: Mapping[str, Any], prefix: str = "") -> BaseModel:
    """Validated settings of an adaptation; a UsageError names the first that does not fit."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise UsageError(f"--set {prefix}{place}: {problem['msg']} (got {problem['input']!r}).") from error
