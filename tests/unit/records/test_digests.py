"""Documents and matrices say whether they are what was written; those of older versions are taken as they are."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stored_job import StoredJob

from adaptbench.errors import RunStateError
from adaptbench.records import confusion_files
from adaptbench.records.confusion_files import PerImageConfusion
from adaptbench.records.jobspec import load_job, save_job
from adaptbench.records.record import Record, load_record, save_record

Maker = Callable[..., Record]
MATRICES = PerImageConfusion(
    ("a", "b"), np.arange(8, dtype=np.uint32).reshape(2, 2, 2), ({"city": "x"}, {"city": "y"})
)


@pytest.mark.parametrize(
    "change",
    [('"miou": 40.25', '"miou": 48.25'), ('"seed": 0', '"seed": 1'), ('"oracle": false', '"oracle": true')],
)
def test_another_value_in_a_record(change: tuple[str, str], record: Maker, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    save_record(record(miou=40.25), path)
    text = path.read_text()
    assert text.count(change[0]) == 1
    path.write_text(text.replace(*change))
    with pytest.raises(
        RunStateError, match=r"record\.json was changed after it had been written\. Delete its folder"
    ):
        load_record(path)


def test_another_value_in_a_job(job: StoredJob) -> None:
    save_job(job.spec, job.folder)
    path = job.folder / "job.json"
    path.write_text(path.read_text().replace('"lr": 0.00025', '"lr": 0.00075'))
    with pytest.raises(
        RunStateError, match=r"job\.json was changed after it had been written\. Delete its folder"
    ):
        load_job(job.folder)


def test_a_record_without_digest_is_of_an_older_version(record: Maker, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    kept = record()
    save_record(kept, path)
    content = json.loads(path.read_text())
    assert len(content.pop("digest")) == 64
    path.write_text(json.dumps(content))
    assert load_record(path) == kept


def packed(path: Path, digest: str | None = None, **changed: object) -> None:
    """The file as numpy would write it anew with other arrays, and right checksums."""
    MATRICES.save(path)
    with np.load(path) as found:
        arrays = {**found, **changed}
    if digest is not None:
        del arrays["digest"]
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def test_other_matrices_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    other = MATRICES.matrices + np.uint32(1)
    for changed in (
        {"matrices": other},
        {"tags": np.array(['{"city": "x"}', '{"city": "x"}'])},
        {"names": np.array(["b", "a"])},
        {"matrices": MATRICES.matrices.astype(np.uint16)},
    ):
        packed(path, **changed)
        with pytest.raises(RunStateError, match=r"a\.npz .*it was changed after .*Delete the job's folder"):
            PerImageConfusion.load(path)
    packed(path, digest="none", matrices=other)  # of an older version
    np.testing.assert_array_equal(PerImageConfusion.load(path).matrices, other)


def test_matrices_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, names=np.array(["a"]), matrices=np.zeros((2000, 19, 19), np.uint32))
    monkeypatch.setattr(confusion_files, "_LARGEST", 1 << 20)
    assert path.stat().st_size < 1 << 16
    with pytest.raises(
        RunStateError, match=r"unpacked it has 2,888,.* bytes, and at most 1,048,576 are read"
    ):
        PerImageConfusion.load(path)


def test_a_head_that_promises_terabytes(tmp_path: Path) -> None:
    head = b"{'descr': '<u4', 'fortran_order': False, 'shape': (100000000000, 19, 19), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        for name in ("names.npy", "matrices.npy"):
            packed.writestr(name, b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    with pytest.raises(RunStateError, match=r"a\.npz is no file of confusion matrices"):
        PerImageConfusion.load(tmp_path / "a.npz")


def test_matrices_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, names=np.array([{}], dtype=object), matrices=np.zeros((1, 2, 2), np.uint32))
    with pytest.raises(RunStateError, match="allow_pickle"):
        PerImageConfusion.load(path)
