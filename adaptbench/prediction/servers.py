"""What the test servers want: which images, under which names, with which ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from adaptbench.data.taxonomy import IGNORE, raw_ids
from adaptbench.prediction.encoding import confidence_levels, png

UInt8 = npt.NDArray[np.uint8]
Content = Literal["ids", "confidence"]


@dataclass(frozen=True)
class Server:
    """A test server.

    Attributes:
        dataset: whose split ``test`` it scores.
        id_space: of the pixels of a submission.
        ignored: what is written for a pixel without class.
        folders: of the archive, with what they hold; an empty name is the archive itself.
        address: where submissions go.
    """

    dataset: str
    id_space: str
    ignored: int
    folders: Mapping[str, Content]
    address: str

    def files(self, image: str) -> list[str]:
        """Paths of an image's predictions in the archive; they have the name of the image, as PNG."""
        name = PurePosixPath(image).with_suffix(".png").name
        return [str(PurePosixPath(folder) / name) for folder in self.folders]

    def ids(self, train_ids: UInt8, class_set: str) -> UInt8:
        """Train ids of a class set in the ids of the server. Shape: ``(H, W)``, unchanged.

        Raises:
            UsageError: the server has no ids for the class set.
        """
        return raw_ids(class_set, self.id_space, self.ignored)[train_ids]

    def contents(
        self, image: str, train_ids: UInt8, confidence: npt.NDArray[np.floating], class_set: str
    ) -> dict[str, bytes]:
        """The files of an image, by their path in the archive. Shape: ``(H, W)`` each.

        Raises:
            UsageError: the server has no ids for the class set.
        """
        encoded = {
            "ids": png(self.ids(train_ids, class_set)),
            "confidence": png(confidence_levels(confidence)),
        }
        kinds = self.folders.values()
        return {file: encoded[kind] for file, kind in zip(self.files(image), kinds, strict=True)}


SERVERS: Mapping[str, Server] = {
    "cityscapes": Server(
        dataset="cityscapes",
        id_space="cityscapes",
        ignored=0,  # as the benchmark's own scripts map 255
        folders={"": "ids"},
        address="https://www.cityscapes-dataset.com/submit",
    ),
    "acdc": Server(
        dataset="acdc",
        id_space="cityscapes_train",
        ignored=IGNORE,
        folders={"": "ids"},
        address="https://acdc.vision.ee.ethz.ch/submit",
    ),
    # Where a prediction is declared invalid, labelTrainIds_invalid is 255; here nothing is, so that it is a copy.
    "dark_zurich": Server(
        dataset="dark_zurich",
        id_space="cityscapes_train",
        ignored=IGNORE,
        folders={"confidence": "confidence", "labelTrainIds": "ids", "labelTrainIds_invalid": "ids"},
        address="https://codalab.lisn.upsaclay.fr/competitions/3783",
    ),
    "bdd100k": Server(
        dataset="bdd100k",
        id_space="cityscapes_train",
        ignored=IGNORE,
        folders={"": "ids"},
        address="EvalAI, challenge 1257",
    ),
}
