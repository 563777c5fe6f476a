"""A submission to a test server: predictions of all its images in one archive."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.data import archives
from adaptbench.data.taxonomy import raw_ids
from adaptbench.errors import DataError
from adaptbench.evaluation.sizes import input_size
from adaptbench.prediction.partial_output import Kept, facts_of
from adaptbench.prediction.servers import Server
from adaptbench.storage.atomic import replacing

if TYPE_CHECKING:
    from adaptbench.evaluation.scorer import Scorer
    from adaptbench.execution.checkpoints.scored import Checkpoint

FACTS, SPLIT = "submission.json", "test"
#: The earliest date that a zip archive can hold: equal predictions give equal archives.
_DATE = (1980, 1, 1, 0, 0, 0)


def facts(checkpoint: Checkpoint, server: str, device: str) -> dict[str, Any]:
    """What the predictions are; ``identity`` is what decides them."""
    return facts_of(checkpoint, {"server": server}, {"device": device})


def required_images(dataset: Dataset, server: Server, class_set: str) -> list[Sample]:
    """The images that the server scores: all of them, or none.

    Raises:
        DataError: images are missing.
        UsageError: the server has no ids for the class set.
    """
    raw_ids(class_set, server.id_space, server.ignored)
    samples, wanted = dataset.samples(SPLIT), dataset.splits[SPLIT].count
    names = {sample.image.name for sample in samples}
    if len(samples) != wanted or len(names) != wanted:
        raise DataError(
            f"{dataset.name}/{SPLIT} under {dataset.root}: {len(names)} images instead of {wanted}. The server takes "
            f"predictions of all of them only. Unpack the official release completely. {dataset.where_to_get()}"
        )
    return samples


def predict(
    scorer: Scorer,
    dataset: Dataset,
    samples: Sequence[Sample],
    server: Server,
    kept: Kept,
    tell: Callable[[int], None],
) -> list[str]:
    """Predicts every image whose predictions are not there, as an evaluation does.

    Returns:
        The files of the archive, below the folder of ``kept``.

    Raises:
        DataError: an image cannot be used.
    """
    files: list[str] = []
    box = input_size(dataset, scorer.settings.resolution, scorer.method.task.profile)
    for number, sample in enumerate(samples, start=1):
        name = sample.image.name
        files += server.files(name)
        identity = archives.sha256(sample.image)
        if not kept.holds(name, identity):
            image = dataset.read_image(sample)
            _require_size((image.shape[1], image.shape[0]), dataset, sample)
            classes = scorer.method.task.class_set.name
            kept.keep(name, identity, server.contents(name, *scorer.predicted(image, box), classes))
        tell(number)
    return files


def pack(folder: Path, files: Sequence[str], path: Path) -> None:
    """Puts files into a zip archive, by their paths below ``folder``."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
        for name in sorted(files):
            packed.writestr(zipfile.ZipInfo(name, _DATE), (folder / name).read_bytes())


def _require_size(size: tuple[int, int], dataset: Dataset, sample: Sample) -> None:
    if size != dataset.image_size:
        width, height = dataset.image_size
        raise DataError(
            f"{sample.image} has {size[0]}x{size[1]} pixels, and the server wants {width}x{height}. Put the official "
            "image there."
        )
