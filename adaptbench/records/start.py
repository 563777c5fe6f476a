"""The network from elsewhere that a job starts from, in the place of one that it trains."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from adaptbench.records.documents import Part

#: What says of a record that it starts from such a network, among its changed settings.
KEY = "start"


class FilePlace(Part):
    """Where a network of anybody is; paths are absolute.

    Attributes:
        file: the network file.
        function: in it, which returns the network.
        weights: the file of its weights.
        file_sha256: of the network file.
        input_size: that it states, (width, height) in pixels; None = images as they are.
    """

    file: str
    function: str
    weights: str
    file_sha256: str
    input_size: tuple[int, int] | None = None


class Start(Part):
    """A network that is given.

    Attributes:
        name: in tables, with the beginning of a digest; of an import that under which it is kept.
        network: its name.
        class_set: what it is scored in.
        weights_sha256: of its tensors.
        test_time_augmentation: what it averages over, in words.
        method: whose scored network an import is; empty for a network of anybody.
        overrides: settings of an import that differ from the method's defaults, as full-size numbers.
        place: of a network of anybody; None for an import.
    """

    name: str
    network: str
    class_set: str
    weights_sha256: str
    test_time_augmentation: str = "none"
    method: str = ""
    overrides: dict[str, Any] = Field(default={})
    place: FilePlace | None = None

    def identity(self) -> dict[str, Any]:
        """What of it may change a result: no name, and no path."""
        network = {"weights": self.weights_sha256, "network": self.network, "class_set": self.class_set}
        if self.place is not None:
            return {**network, "file": self.place.file_sha256, "function": self.place.function}
        return {**network, "method": self.method, "overrides": self.overrides}
