"""Pseudo-labels on disk: an index image per image, and a table of what is known of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from adaptbench.data import files
from adaptbench.errors import DataError
from adaptbench.storage.atomic import append_text, write_bytes, write_text
from adaptbench.storage.plain_files import read_text

#: The table, a line per image in the order in which they were labelled.
TABLE = "labels.jsonl"
#: Units: bytes.
_LARGEST = 256 << 20


@dataclass(frozen=True)
class Entry:
    """A line of the table.

    Attributes:
        name: of the image, with its split: ``cityscapes-train/NAME``.
        width: of the label, in pixels.
        height: of the label, in pixels.
        facts: what was noted of it.
        digest: sha256 of the index image and of the rest of the line; empty in tables of older versions.
    """

    name: str
    width: int
    height: int
    facts: Mapping[str, float]
    digest: str = ""

    def of(self, image: bytes) -> Entry:
        """The same with the digest of an index image."""
        line = json.dumps([self.name, self.width, self.height, dict(self.facts)], sort_keys=True)
        return replace(self, digest=hashlib.sha256(image + line.encode()).hexdigest())


class PseudoLabels:
    """The pseudo-labels in a stage's folder, or its predictions of a stream.

    An image counts as labelled when its line is in the table, which is written after the image. So a pass that is
    killed goes on where it was and ends with the same bytes.

    Args:
        folder: of the stage.
        kind: what they are, in errors.
    """

    def __init__(self, folder: Path, kind: str = "pseudo-label") -> None:
        self.folder, self._kind = folder, kind

    def file(self, name: str) -> Path:
        """The index image of the image called ``name``."""
        return self.folder / "labels" / f"{name}.png"

    def entries(self) -> dict[str, Entry]:
        """What is labelled so far, by name; a DataError for a damaged line. One that was cut off does not count."""
        try:
            text = read_text(self.folder / TABLE, _LARGEST)
            lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
            return {entry.name: entry for entry in (Entry(**json.loads(line)) for line in lines)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"{self.folder / TABLE} is damaged ({error}). Delete its folder to label all images again."
            ) from error

    def resume(self, count: int | None = None) -> dict[str, Entry]:
        """The same, with the table mended so that lines can be added; only the first ``count`` stay, if it is given.

        Raises:
            DataError: there are fewer, or a line is damaged.
        """
        found = dict(islice(self.entries().items(), count))
        if count is not None and len(found) < count:
            raise DataError(
                f"{self.folder / TABLE} names {len(found)} images, and {count} were labelled. Delete the folder "
                f"{self.folder} to label all images again."
            )
        write_text(self.folder / TABLE, "".join(_line(entry) for entry in found.values()))
        return found

    def add(self, name: str, label: npt.NDArray[np.uint8], facts: Mapping[str, float]) -> None:
        """Keeps the label of an image. Shape: ``(H, W)`` uint8 train ids."""
        image = cv2.imencode(".png", label)[1].tobytes()
        write_bytes(self.file(name), image)
        entry = Entry(name, label.shape[1], label.shape[0], dict(facts)).of(image)
        append_text(self.folder / TABLE, _line(entry))

    def require(self, names: Iterable[str]) -> None:
        """Checks that there is the pseudo-label that was made for every image.

        Raises:
            DataError: the table lacks an image, its file is missing or of another size, or one of both was changed.
        """
        entries = self.entries()
        for name in names:
            if name not in entries:
                raise DataError(
                    f"{self.folder / TABLE} does not name the image {name}, whose {self._kind} is needed. "
                    f"Delete the folder {self.folder} to label all images again."
                )
            self._require_as_made(entries[name])

    def _require_as_made(self, entry: Entry) -> None:
        path = self.file(entry.name)
        width, height = files.index_image_size(path)
        if (width, height) != (entry.width, entry.height):
            raise DataError(
                f"The {self._kind} {path} has {width}x{height} pixels, but it was made with "
                f"{entry.width}x{entry.height}. Delete the folder {self.folder} to label all images again."
            )
        if entry.digest and entry != entry.of(path.read_bytes()):
            raise DataError(
                f"The {self._kind} {path} or its line in {TABLE} was changed after it had been made. Delete the folder "
                f"{self.folder} to label all images again."
            )


def require_known(method: str, images: Collection[str], *chosen: Collection[str]) -> None:
    """Checks which images a method chose to train on; the first choice are those with pseudo-labels.

    Raises:
        DataError: it chose none, or one that is not there.
    """
    unknown = sorted({name for names in chosen for name in names} - set(images))
    if unknown:
        raise DataError(
            f"{method} chose {len(unknown)} images to train on that are not among the {len(images)} target "
            f"images, for example {unknown[0]}. Is the list of another benchmark, or of a run with another limit?"
        )
    if not chosen[0]:
        raise DataError(f"{method} chose none of {len(images)} images to train on with pseudo-labels.")


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry), sort_keys=True) + "\n"
