"""A contribution: one zip with the record of a finished run and the confusion matrices behind its scores."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from adaptbench.errors import RunStateError
from adaptbench.records.confusion_files import PerImageConfusion, matrices_file
from adaptbench.records.kept import load_kept
from adaptbench.records.record import Record
from adaptbench.storage.atomic import cannot_write, replacing

RECORD = "record.json"
#: More than any run has. Units: bytes, unpacked.
_LARGEST = 2 << 30
_LONGEST_NAME = 200
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: equal content gives equal bytes


@dataclass(frozen=True)
class Contribution:
    """What a contribution claims, and what the claim rests on: its matrices, by ``dataset/split``."""

    record: Record
    matrices: Mapping[str, PerImageConfusion]

    @property
    def files(self) -> list[str]:
        """Names in the zip."""
        return [RECORD, *(matrices_file(Path(), split).as_posix() for split in self.matrices)]


def file_name(record: Record) -> str:
    """The name of a contribution's file."""
    board = record.benchmark.replace("/", "-")
    return f"{board}-{record.method}-{record.seed}-{record.job_hash[:8]}.zip"


def read_folder(folder: Path) -> Contribution:
    """A finished run.

    Raises:
        RunStateError: it is not finished, or its matrices are missing or damaged.
    """
    record = load_kept(folder / RECORD)
    files = {score.split: matrices_file(folder, score.split) for score in record.scores}
    return Contribution(record, {split: PerImageConfusion.load(file) for split, file in files.items()})


def pack(folder: Path, to: Path) -> Path:
    """Writes the contribution of a finished run and returns its file; equal content gives equal bytes.

    Raises:
        RunStateError: the run is not finished or damaged, or the file cannot be written.
    """
    found = read_folder(folder)
    path = to / file_name(found.record)
    with replacing(path, flag="--to") as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in found.files:
            content = (folder / name).read_bytes()
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return path


def read_zip(path: Path) -> Contribution:
    """Reads a contribution; nothing in it is trusted.

    Raises:
        RunStateError: it is no contribution: not a zip, other files than a record and its matrices, or damaged ones;
            or there is no room to unpack it.
    """
    try:
        with zipfile.ZipFile(path) as archive, TemporaryDirectory() as folder:
            infos = archive.infolist()
            _require_plain(infos)
            for info in infos:
                _unpack(archive, info, Path(folder) / info.filename)
            found = _read_unpacked(Path(folder))
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise RunStateError(f"it is no readable zip ({error})") from error
    extra = sorted({info.filename for info in infos} - set(found.files))
    if extra:
        raise RunStateError(f"it holds files that belong to no score of its record: {', '.join(extra)}")
    return found


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    with archive.open(info) as packed:
        try:
            target.parent.mkdir(exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(packed, file)
        except OSError as error:
            raise cannot_write(target, error, info.file_size, "TMPDIR") from error


def _read_unpacked(folder: Path) -> Contribution:
    try:
        return read_folder(folder)
    except RunStateError as error:
        raise RunStateError(str(error).replace(f"{folder}/", "")) from error


def _require_plain(infos: list[zipfile.ZipInfo]) -> None:
    """No other name than those we write, each once, and no more content than a run has."""
    names = [info.filename for info in infos]
    odd = [name for name in names if name != RECORD and not _is_matrices(name)]
    if odd or len(set(names)) < len(names):
        raise RunStateError(f"it holds unexpected files: {', '.join(map(repr, odd[:3])) or 'a name twice'}")
    if RECORD not in names:
        raise RunStateError(f"it holds no {RECORD}")
    if sum(info.file_size for info in infos) > _LARGEST:
        raise RunStateError(f"unpacked it is larger than {_LARGEST >> 30} GiB")


def _is_matrices(name: str) -> bool:
    folder, _, file = name.partition("/")
    plain = "/" not in file and "\\" not in file and not file.startswith(".") and len(file) < _LONGEST_NAME
    return folder == "confusion" and plain and file.endswith(".npz")
