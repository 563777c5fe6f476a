"""Anybody's own images and masks, described by a YAML file instead of a plug-in.

The description says which classes there are, which ids or colours of the masks they are, and where images and masks
lie. It is part of the version of the data: changing it makes other jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from adaptbench.contracts.dataset import Dataset, Sample, Split
from adaptbench.data import files, taxonomy
from adaptbench.data.label_ids import listed
from adaptbench.data.taxonomy import ClassSet
from adaptbench.errors import DataError, UsageError
from adaptbench.storage import yaml_file

#: What changes nothing that is read.
_NO_DEFINITION = {"root", "title", "licence", "homepage"}
#: More folders than any tree of images has inside each other.
_DEEPEST = 16
#: The longest name of a file on usual systems. Units: letters.
_LONGEST_NAME = 255
#: What may stand in the name of a file.
_IN_A_NAME = re.compile(r"[^/\0]*")
NAME = r"^[a-z_][a-z0-9_]*$"
#: Colours of classes that state none, in turn; made to be told apart.
_COLOURS = ((60, 60, 60), (230, 60, 60), (70, 160, 230), (90, 190, 90), (240, 180, 50), (160, 90, 200),
            (60, 200, 190), (240, 130, 180), (150, 110, 70), (200, 200, 200))  # fmt: skip

Colour = tuple[int, int, int]


def _colour(value: Any) -> Any:
    """``"#ff8000"`` as numbers."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))
    return value


Byte = Annotated[int, Field(ge=0, le=255)]
Side = Annotated[int, Field(ge=8, le=1 << 16)]
Level = Annotated[int, Field(ge=-(1 << 32), le=1 << 32)]
AnyColour = Annotated[tuple[Byte, Byte, Byte], BeforeValidator(_colour)]
HexColour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedClass(_Part):
    """A class with its colour in images of results."""

    name: str
    colour: AnyColour


class Labels(_Part):
    """What the pixels of masks mean: one of the three, and what is known and ignored.

    Attributes:
        ids: 8-bit value (grey or palette index) -> class.
        colours: ``"#rrggbb"`` -> class.
        id_space: a known numbering, like ``cityscapes``, where the classes are a known class set.
        ignore: values or colours that are not counted; others that are not listed stop whatever reads them.
    """

    ids: dict[Byte, str] | None = None
    colours: dict[HexColour, str] | None = None
    id_space: str | None = None
    ignore: list[Byte | HexColour] = []


class Place(_Part):
    """A split: a pattern of its images, and where the mask of an image lies; no masks, no ``labels``.

    Attributes:
        replace: parts of the name of an image and what stands in the name of its mask instead, in turn.
    """

    images: str
    labels: str | None = None
    replace: dict[Annotated[str, Field(min_length=1)], str] = {}


class Description(_Part):
    """What the YAML file of a dataset says.

    Attributes:
        dataset: its name.
        range: the values of images of more than 8 bits that are black and white.
    """

    dataset: str = Field(pattern=NAME)
    title: str = ""
    licence: str = "not stated"
    homepage: str = "not stated"
    root: Path = Path()
    size: tuple[Side, Side]
    range: tuple[Level, Level] | None = None
    classes: str | list[str | NamedClass] = Field(min_length=1)
    labels: Labels
    splits: dict[Annotated[str, Field(pattern=NAME)], Place] = Field(min_length=1)


class FolderDataset(Dataset):
    """Base of the classes that `dataset_class` makes."""

    description: ClassVar[Description]
    #: Colour as one number -> id, where masks are coloured.
    coloured: ClassVar[Mapping[int, int] | None] = None

    def samples(self, split: str) -> list[Sample]:
        """All images of ``split``; their masks need not exist.

        Raises:
            DataError: two images have one mask.
        """
        self._split(split)
        place = self.description.splits[split]
        folder, pattern = _fixed(place.images)
        images = self._images(folder, pattern)
        samples = [
            Sample(self._name(image, folder), image, self.root / _mask(place, image, self.root / folder))
            for image in images
        ]
        if place.labels is not None:
            self._require_own_masks(samples)
        return samples

    def _require_own_masks(self, samples: Iterable[Sample]) -> None:
        owners: dict[Path, Path] = {}
        for sample in samples:
            other = owners.setdefault(sample.label, sample.image)
            if other != sample.image:
                raise DataError(
                    f"{self.name}: {other} and {sample.image} would have one mask, {sample.label}. The pattern of "
                    "masks needs {folders} or {parent} to tell them apart, or that of images takes files that it "
                    "should not; see docs/your-own-data.md."
                )

    def read_image(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """The image, of more than 8 bits only where the description states their range.

        Shape: ``(H, W, 3)`` RGB uint8.

        Raises:
            DataError: the file is missing, damaged or no image that can be read.
        """
        return files.read_image(sample.image, self.description.range)

    def decode_label(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Ids of a mask; of a coloured one, the number of each colour, and 255 where it is not listed.

        Shape: ``(H, W)`` uint8.

        Raises:
            DataError: the file is missing, damaged or in another encoding.
        """
        if self.coloured is None:
            return files.read_index_image(sample.label)
        codes = _codes(sample.label)
        ids = np.full(codes.shape, taxonomy.IGNORE, np.uint8)
        for code, number in self.coloured.items():
            ids[codes == code] = number
        return ids

    def unknown_ids_in(self, sample: Sample, unknown: Mapping[int, int]) -> str:
        """Which values or colours of a mask the description does not list, and where to list them."""
        if self.description.labels.id_space is not None:
            return super().unknown_ids_in(sample, unknown)
        if self.coloured is None:
            what, place = f"ids that are not listed: {listed(unknown)}", "ids"
        else:
            codes, counts = np.unique(_codes(sample.label), return_counts=True)
            pixels = {
                f"#{c:06x}": int(n) for c, n in zip(codes, counts, strict=True) if c not in self.coloured
            }
            what, place = f"colours that are not listed: {listed(pixels)}", "colours"
        return (
            f"Mask {sample.label} of {self.name} holds {what}. List them under labels.{place}, or under labels.ignore "
            "where they are not to count."
        )

    def _glob(self, folder: str, pattern: str) -> list[Path]:
        """The files among what matches."""
        return [path for path in super()._glob(folder, pattern) if not path.is_dir()]

    def _name(self, image: Path, folder: str) -> str:
        """Path of the image below the fixed part of its pattern, without suffix: unique in the split."""
        return "_".join(image.relative_to(self.root / folder).with_suffix("").parts)


def _codes(mask: Path) -> npt.NDArray[np.uint32]:
    """Colours of a mask as one number each. Shape: ``(H, W)``."""
    image = files.read_image(mask).astype(np.uint32)
    red, green, blue = np.moveaxis(image, 2, 0)
    codes: npt.NDArray[np.uint32] = np.bitwise_or.reduce([red << np.uint32(16), green << np.uint32(8), blue])
    return codes


def read(path: Path) -> Description:
    """The description in a YAML file; its class set and ids are known from then on."""
    found = yaml_file.validated(Description, path)
    _check(found, path)
    _register(found)
    return found


def dataset_class(path: Path) -> type[FolderDataset]:
    """The dataset that a YAML file describes; a UsageError names line and key of what does not fit."""
    found = read(path)
    colours = found.labels.colours
    attributes = {
        "__doc__": f"The images and masks that {path.name} describes.",
        "__module__": __name__,
        "name": found.dataset,
        "title": found.title or found.dataset,
        "licence": found.licence,
        "homepage": found.homepage,
        "id_space": found.labels.id_space or found.dataset,
        "folders": (found.dataset,),
        "image_size": found.size,
        "other_sizes": None,
        "training_size": found.size,
        "splits": {
            name: Split(count=None, labelled=place.labels is not None) for name, place in found.splits.items()
        },
        "label_folders": tuple(
            dict.fromkeys(_fixed(place.labels)[0] for place in found.splits.values() if place.labels)
        ),
        "default_root": yaml_file.place(path, ["root"], found.root),
        "definition": _definition(found),
        "description": found,
        "coloured": None if colours is None else _numbered(found),
    }
    return type(found.dataset.title().replace("_", ""), (FolderDataset,), attributes)


def _definition(found: Description) -> str:
    """What decides what is read; keys that came later are left out where they are not used."""
    plain = {name: {"replace"} for name, place in found.splits.items() if not place.replace}
    exclude: dict[str, Any] = {**dict.fromkeys(_NO_DEFINITION, True), "splits": plain}
    return found.model_dump_json(exclude=exclude if found.range else {**exclude, "range": True})


def _check(found: Description, path: Path) -> None:
    """What spans several keys."""
    if found.range is not None and found.range[0] >= found.range[1]:
        raise yaml_file.wrong(path, ["range"], "it needs two values, the smaller one first.")
    labels = found.labels
    ways = [key for key in ("ids", "colours", "id_space") if getattr(labels, key) is not None]
    if len(ways) != 1:
        raise yaml_file.wrong(path, ["labels"], "state exactly one of ids, colours and id_space.")
    known = isinstance(found.classes, str)
    if labels.id_space is not None and not known:
        raise yaml_file.wrong(path, ["labels", "id_space"], "it needs 'classes: NAME' of a known class set.")
    classes = _known_classes(found, path) if known else _names(found)
    if len(set(classes)) < len(classes):
        raise yaml_file.wrong(path, ["classes"], "a class is stated twice.")
    for key in ("ids", "colours"):
        for raw, name in (getattr(labels, key) or {}).items():
            if name not in classes:
                listed = ", ".join(classes)
                raise yaml_file.wrong(
                    path, ["labels", key, raw], f"there is no class {name!r}. Known: {listed}."
                )
    _check_ignored(found, path)
    for name, place in found.splits.items():
        _check_place(path, name, place)


def _below_root(stated: str) -> bool:
    """Whether a path, or a pattern of paths, names something in a folder and nothing outside of it."""
    path = PurePosixPath(stated)
    plain = 0 < len(path.parts) <= _DEEPEST and "\0" not in stated
    plain = plain and all(len(part.encode()) <= _LONGEST_NAME for part in path.parts)
    return plain and not path.is_absolute() and ".." not in path.parts


def _known_classes(found: Description, path: Path) -> tuple[str, ...]:
    """The classes of the class set that is named; a known numbering must fit them."""
    try:
        classes = taxonomy.class_set(str(found.classes)).classes
    except UsageError as error:
        raise yaml_file.wrong(path, ["classes"], str(error)) from error
    try:
        if found.labels.id_space is not None:
            taxonomy.label_map(found.labels.id_space, str(found.classes))
    except UsageError as error:
        raise yaml_file.wrong(path, ["labels", "id_space"], str(error)) from error
    return classes


def _check_ignored(found: Description, path: Path) -> None:
    """What is ignored is written like what is not."""
    for index, value in enumerate(found.labels.ignore):
        if isinstance(value, str) != (found.labels.colours is not None):
            kind = "a colour like '#ff0000'" if found.labels.colours else "a number from 0 to 255"
            raise yaml_file.wrong(path, ["labels", "ignore", index], f"expected {kind}, found {value!r}.")
    if found.labels.colours and len(_numbered(found)) > taxonomy.IGNORE:
        raise yaml_file.wrong(path, ["labels", "colours"], "at most 255 colours can be told apart.")


def _check_place(path: Path, name: str, place: Place) -> None:
    """Masks have names that follow from the image's, in a folder of their own."""
    for key in ("images", "labels"):
        stated = getattr(place, key)
        if stated is not None and not _below_root(stated):
            raise yaml_file.wrong(path, ["splits", name, key], "write a path below the root.")
    if any("**" in part and part != "**" for part in PurePosixPath(place.images).parts):
        raise yaml_file.wrong(
            path, ["splits", name, "images"], "'**' stands alone, for any number of folders."
        )
    for part, other in place.replace.items():
        if not _IN_A_NAME.fullmatch(other):
            problem = "it replaces a part of a file's name, which holds no '/'."
            raise yaml_file.wrong(path, ["splits", name, "replace", part], problem)
    if place.labels is None:
        return
    if "{stem}" not in place.labels or re.search(
        r"[{}]", re.sub(r"\{(stem|parent|folders)\}", "", place.labels)
    ):
        raise yaml_file.wrong(
            path,
            ["splits", name, "labels"],
            "write {stem} where the name of the image (without suffix) goes, as in masks/{stem}.png; {parent} is "
            "the name of its folder, and {folders} all folders from the first wildcard on. What else differs between "
            "the names is for the key 'replace'.",
        )
    masks, images = PurePosixPath(_fixed(place.labels)[0]), PurePosixPath(_fixed(place.images)[0])
    if images.is_relative_to(masks):
        raise yaml_file.wrong(
            path,
            ["splits", name, "labels"],
            f"masks must lie in a folder without images, which trainings cannot open; {masks} holds both.",
        )


def _register(found: Description) -> None:
    """Makes the class set and the ids known."""
    if isinstance(found.classes, str):
        class_set, new = taxonomy.class_set(found.classes), None
    else:
        class_set = new = ClassSet(found.dataset, _names(found), _palette(found), "a user's description")
    if found.labels.id_space is not None:
        return
    ids: Iterable[tuple[int, str]] = (found.labels.ids or {}).items()
    ignored = [value for value in found.labels.ignore if isinstance(value, int)]
    if found.labels.colours is not None:
        numbers = _numbered(found)
        ids = [(numbers[_code(colour)], name) for colour, name in found.labels.colours.items()]
        ignored = [numbers[_code(str(colour))] for colour in found.labels.ignore]
    table = {raw: class_set.classes.index(name) for raw, name in ids}
    taxonomy.register(new, found.dataset, {class_set.name: table}, ignored)


def _names(found: Description) -> tuple[str, ...]:
    return tuple(entry if isinstance(entry, str) else entry.name for entry in found.classes)


def _palette(found: Description) -> tuple[Colour, ...]:
    stated = [None if isinstance(entry, str) else entry.colour for entry in found.classes]
    return tuple(colour or _COLOURS[i % len(_COLOURS)] for i, colour in enumerate(stated))


def _numbered(found: Description) -> dict[int, int]:
    """Every listed colour, as one number, with its id."""
    colours = [*(found.labels.colours or {}), *map(str, found.labels.ignore)]
    return {_code(colour): number for number, colour in enumerate(dict.fromkeys(colours))}


def _code(colour: str) -> int:
    return int(colour[1:], 16)


def _fixed(pattern: str) -> tuple[str, str]:
    """The folder of a pattern up to its first wildcard, and the rest."""
    parts = PurePosixPath(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if re.search(r"[*?\[{]", part)), len(parts) - 1)
    return PurePosixPath(*parts[:fixed]).as_posix(), PurePosixPath(*parts[fixed:]).as_posix()


def _mask(place: Place, image: Path, folder: Path) -> str:
    """Path of the mask of an image in ``folder`` below the root; for a split without masks, one that is never read."""
    stem = image.stem
    for part, other in place.replace.items():
        stem = stem.replace(part, other)[:_LONGEST_NAME]
    folders = image.parent.relative_to(folder).as_posix()
    return (place.labels or "no masks/{stem}.png").format(
        stem=stem, parent=image.parent.name, folders=folders
    )
