"""Contributions: what is packed can be merged, and what does not hold is named."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import mounts
import numpy as np
import pytest
from forks import called, in_fork

from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.data.taxonomy import CITYSCAPES19
from adaptbench.errors import RunStateError
from adaptbench.evaluation.metrics import score
from adaptbench.planning.plan import make_plan
from adaptbench.planning.request import Request
from adaptbench.records.confusion_files import PerImageConfusion, in_round
from adaptbench.records.found import find_records
from adaptbench.records.jobspec import content_hash
from adaptbench.records.record import Record, load_record, save_record
from adaptbench.records.stream_parts import stream_parts
from adaptbench.reporting.board import boards
from adaptbench.reporting.figures.gallery import draw_all
from adaptbench.submissions import merging
from adaptbench.submissions.checks import Known, objections
from adaptbench.submissions.pack import file_name, pack, read_folder, read_zip

Maker = Callable[..., Record]
REGISTRY = plugins.discover()


@pytest.fixture
def run(record: Maker, tmp_path: Path) -> Path:
    return finished_run(record, tmp_path)


def finished_run(record: Maker, tmp_path: Path, seed: int = 0, benchmark: str = "gta5_to_cityscapes") -> Path:
    """The folder of a finished run as this version of the package makes it, with the hashes of its plan.

    Runs of two seeds were scored on other labels.
    """
    request = Request(("source_only",), (benchmark,), (seed,), out=tmp_path / "theirs", device="cpu")
    (planned,) = make_plan(request).jobs
    spec = planned.spec
    rng = np.random.default_rng(seed)
    scores = []
    for split in spec.ranking["splits"]:
        matrices = {f"image {i}": rng.integers(0, 50, (19, 19)) for i in range(5)}
        kept = PerImageConfusion.collect(matrices)
        kept.save(planned.folder / "confusion" / f"{split.replace('/', '-')}.npz")
        scores.append(score(kept.total(), CITYSCAPES19, split=split, provenance="generated", images=5))
    method: Any = plugins.load(REGISTRY.find("method", "source_only"))
    same = (
        "job_hash",
        "group_hash",
        "ranking_hash",
        "ranking",
        "settings",
        "settings_origin",
        "overrides",
    )
    one = record(
        "source_only",
        **{name: getattr(spec, name) for name in same if name not in ("ranking", "overrides")},
        seed=seed,
        tags=tuple(method.tags),
        method_title=method.title,
        method_version=method.version,
        paper=method.paper,
        benchmark_title="GTA5 to Cityscapes",
        data=spec.ranking["data"],
        scores=scores,
        iterations=sum(planned.iterations),
    )
    save_record(one.model_copy(update={"ranking": spec.ranking}), planned.folder / "record.json")
    return planned.folder


def rejected(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What merge says about the run as it lies there."""
    path = pack(run, tmp_path / "zips")
    capsys.readouterr()
    assert main(["merge", str(path), "--out", str(tmp_path / "ours")]) == 1
    assert not list((tmp_path / "ours").rglob("record.json"))
    said = capsys.readouterr().out
    assert said.startswith(f"rejected {path}: [")
    return said


def changed(run: Path, **fields: Any) -> None:
    found = load_record(run / "record.json")
    save_record(Record.model_validate({**found.model_dump(), **fields}), run / "record.json")


def test_what_is_contributed_is_merged_and_marked(run: Path, tmp_path: Path) -> None:
    assert main(["contribute", str(run), "--to", str(tmp_path / "zips")]) == 0
    (path,) = (tmp_path / "zips").iterdir()
    assert path.name == file_name(load_record(run / "record.json"))
    first = path.read_bytes()
    assert main(["contribute", str(tmp_path / "theirs"), "--to", str(tmp_path / "zips")]) == 0
    assert path.read_bytes() == first
    assert main(["merge", str(path), "--out", str(tmp_path / "ours")]) == 0
    (merged,) = find_records(tmp_path / "ours")
    assert merged == load_record(run / "record.json").model_copy(update={"origin": "submitted"})
    assert boards([merged])[0].rows[0].origin == "submitted"
    folder = tmp_path / "ours" / run.relative_to(tmp_path / "theirs")
    assert read_folder(folder).matrices.keys() == read_folder(run).matrices.keys()
    assert main(["report", "--out", str(tmp_path / "ours")]) == 0
    assert "| submitted" in (tmp_path / "ours/leaderboards/leaderboard.md").read_text()


def test_images_of_submitted_runs_are_not_looked_for(run: Path, tmp_path: Path) -> None:
    main(["merge", str(pack(run, tmp_path / "zips")), "--out", str(tmp_path / "ours")])
    said: list[str] = []
    draw_all(find_records(tmp_path / "ours"), tmp_path / "ours", said.append)
    assert len(said) == 1
    assert "All of its runs were submitted by others, without images." in said[0]


def test_a_run_that_is_here_stays(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pack(run, tmp_path)
    before = (run / "record.json").read_bytes()
    assert main(["merge", str(path), "--out", str(tmp_path / "theirs")]) == 1
    assert "[already here]" in capsys.readouterr().out
    assert (run / "record.json").read_bytes() == before


def test_what_was_merged_before_counts_for_the_next_and_records_are_read_once(
    record: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (
        pack(finished_run(record, tmp_path / str(seed), seed), tmp_path / "zips") for seed in (0, 1)
    )
    scan = mock.Mock(side_effect=find_records)
    monkeypatch.setattr(merging, "find_records", scan)
    assert main(["merge", str(first), str(other), str(first), "--out", str(tmp_path / "ours")]) == 1
    said = capsys.readouterr().out
    assert f"merged {first}: " in said
    assert f"rejected {other}: [images] cityscapes/val: other images, or other labels" in said
    assert f"rejected {first}: [already here]" in said
    assert scan.call_count == 1
    assert main(["merge", str(other), "--out", str(tmp_path / "empty")]) == 0


def test_a_missing_file_is_told_before_anything_is_merged(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pack(run, tmp_path / "zips")
    missing = tmp_path / "missing.zip"
    assert main(["merge", str(path), str(missing), "--out", str(tmp_path / "ours")]) == 2
    assert f"merge {missing}: no such file" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "ours").exists()


def test_a_better_score_is_found_out(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_record(run / "record.json")
    better = found.scores[0].model_copy(update={"miou": found.scores[0].miou + 1e-6})
    changed(run, scores=[better, *found.scores[1:]])
    assert "[scores] cityscapes/val: mIoU is" in rejected(run, tmp_path, capsys)


def test_every_class_is_recomputed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_record(run / "record.json")
    iou = {**found.scores[0].iou, "bicycle": None}
    changed(run, scores=[found.scores[0].model_copy(update={"iou": iou})])
    assert "[scores] cityscapes/val: IoU of bicycle is absent in the record" in rejected(
        run, tmp_path, capsys
    )


@pytest.mark.parametrize(
    ("fields", "objection"),
    [
        ({"smoke": True}, "[smoke run]"),
        ({"method": "nobody"}, "[plug-ins] Unknown method 'nobody'"),
        ({"method_version": 99}, "[plug-ins] it was run with version 99"),
        ({"tags": []}, "[plug-ins] title, paper or tags"),
        ({"ranking_hash": "0" * 16}, "[protocol] the ranking hash is 0000000000000000"),
        ({"benchmark": "gta5_to_cityscapes"}, "[protocol] a score on generated data does not belong"),
        ({"settings": {"network": "deeplabv2-mini", "pretraining": "none"}}, "[identity] the group hash is"),
        ({"seed": 5}, "[identity] the job hash is"),
    ],
)
def test_a_changed_record_is_found_out(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], objection: str
) -> None:
    changed(run, **fields)
    assert objection in rejected(run, tmp_path, capsys)


def test_another_protocol_is_found_out(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ranking = {**load_record(run / "record.json").ranking, "ignore": "count"}
    changed(run, ranking=ranking, ranking_hash=content_hash(ranking))
    assert "[protocol] ignore of the protocol is 'count'" in rejected(run, tmp_path, capsys)


def test_a_left_out_image_is_found_out(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "confusion" / "cityscapes-val.npz"
    kept = PerImageConfusion.load(path)
    PerImageConfusion(kept.names[1:], kept.matrices[1:]).save(path)
    assert "[images] cityscapes/val: 5 images were scored, there are matrices of 4" in rejected(
        run, tmp_path, capsys
    )


def test_other_labels_than_here_are_found_out(run: Path) -> None:
    found = read_folder(run)
    split = "cityscapes/val"
    other = PerImageConfusion(found.matrices[split].names, found.matrices[split].matrices + np.uint32(1))
    (wrong,) = objections(found, Known(REGISTRY, {split: other}))
    assert wrong.check == "images"
    assert "other labels" in wrong.reason
    assert objections(found, Known(REGISTRY, dict(found.matrices))) == []


def test_what_is_no_contribution_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = pack(run, tmp_path / "zips")
    bad = {name: tmp_path / f"{name}.zip" for name in ("text", "outside", "extra", "damaged", "none")}
    bad["text"].write_text("no zip")
    for name, member in (("outside", "../record.json"), ("extra", "confusion/else.npz")):
        shutil.copy(good, bad[name])
        with zipfile.ZipFile(bad[name], "a") as archive:
            archive.writestr(member, (run / "confusion/cityscapes-val.npz").read_bytes())
    with zipfile.ZipFile(bad["damaged"], "w") as archive:
        archive.writestr("record.json", json.dumps({"schema_version": 2}))
    with zipfile.ZipFile(bad["none"], "w") as archive:
        archive.writestr("confusion/cityscapes-val.npz", b"")
    for name, path in bad.items():
        assert main(["merge", str(path), "--out", str(tmp_path / "ours")]) == 1
        said = capsys.readouterr().out
        assert f"rejected {path}: [archive] " in said, name
        assert str(Path(sys.prefix) / "tmp") not in said
    assert not (tmp_path / "ours").exists()


def test_smoke_runs_are_not_packed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(run, smoke=True)
    assert main(["contribute", str(run), "--to", str(tmp_path / "zips")]) == 1
    assert f"not packed {run}: [smoke run]" in capsys.readouterr().out
    assert not (tmp_path / "zips").exists()
    assert main(["contribute", str(tmp_path), "--to", str(tmp_path / "zips")]) == 2


@pytest.mark.skipif(bool(mounts.refused()), reason=mounts.refused())
def test_a_full_disk(record: Maker, tmp_path: Path) -> None:
    """What finds no room is named, the others go on, and nothing is left half-written."""
    first, second = (finished_run(record, tmp_path / str(seed), seed) for seed in (0, 1))
    zips = [pack(run, tmp_path / "zips") for run in (first, second)]
    in_fork(_contributed_to_a_full_disk, tmp_path, (first, second), zips)


def _contributed_to_a_full_disk(folder: Path, runs: tuple[Path, Path], zips: list[Path]) -> None:
    mounts.own_mounts()
    disk = folder / "disk"
    disk.mkdir()
    mounts.small_disk(disk, "12k")  # room for one
    code, said = called("contribute", *runs, "--to", disk / "zips")
    assert code == 1 and said.startswith(
        f"{disk}/zips/{zips[0].name}\nnot packed {runs[1]}: [run] Cannot write "
    )
    assert "No space left on device (" in said and "another folder with --to." in said
    assert [path.name for path in (disk / "zips").iterdir()] == [zips[0].name]

    mounts.small_disk(disk, "4k")
    code, said = called("merge", zips[0], zips[0], "--out", disk)
    assert code == 1 and said.count(f"rejected {zips[0]}: [writing] Cannot write {disk}/runs/") == 2
    assert "another folder with --out." in said and not find_records(disk) and not list(disk.rglob("*.tmp"))
    mounts.enlarge(disk, "80k")
    assert called("merge", zips[0], "--out", disk)[0] == 0


def test_no_room_to_unpack(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contribution is not called damaged for it."""
    path = pack(run, tmp_path / "zips")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(
        RunStateError, match=r"record\.json: No space left .* needed, .*another folder with TMPDIR\."
    ):
        read_zip(path)


@pytest.fixture
def streamed(record: Maker, tmp_path: Path) -> Path:
    """A run of the unadapted network on a stream of two images per condition."""
    run = finished_run(record, tmp_path, benchmark="cityscapes_to_acdc_stream")
    found, rng = load_record(run / "record.json"), np.random.default_rng(0)
    order = found.ranking["stream"]
    tags = [
        {"condition": condition, "round": str(number + 1)}
        for number in range(order["rounds"])
        for condition in order["conditions"]
        for _ in range(2)
    ]
    matrices = {in_round(f"image {i}", i): rng.integers(1, 50, (19, 19)) for i in range(len(tags))}
    kept = PerImageConfusion.collect(matrices, tags)
    kept.save(run / "confusion" / "acdc-train.npz")
    ranked = score(kept.total(), CITYSCAPES19, split="acdc/train", provenance="generated", images=len(tags))
    benchmark: Any = plugins.load(REGISTRY.find("benchmark", "cityscapes_to_acdc_stream"))
    changed(
        run,
        benchmark="minicity/cityscapes_to_acdc_stream",
        benchmark_title=benchmark.title,
        setting="tta",
        scores=[ranked.model_dump(), *(one.model_dump() for one in found.scores[1:])],
        stream={
            "predictions": "unadapted",
            "parts": [part.model_dump() for part in stream_parts(kept, found.ranking, 19)],
            "before": {},
        },
    )
    return run


def test_a_stream_is_merged(streamed: Path, tmp_path: Path) -> None:
    path = pack(streamed, tmp_path / "zips")
    assert main(["merge", str(path), "--out", str(tmp_path / "ours")]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stream: stream["parts"][3].update(miou=99.0), "round 1, snow: mIoU is 99.0000 in the record"),
        (lambda stream: stream["parts"].pop(), "conditions and rounds of its stream are not those"),
        (lambda stream: stream.update(predictions="after"), "its predictions are 'after'"),
        (lambda stream: None, "its protocol has none, or the other way round"),
    ],
)
def test_a_stream_is_what_its_matrices_give(
    change: Callable[[Any], Any],
    message: str,
    streamed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = json.loads((streamed / "record.json").read_text())["stream"]
    change(stream)
    changed(streamed, stream=None if "other way" in message else stream)
    assert message in " ".join(rejected(streamed, tmp_path, capsys).split())


def test_fewer_rounds_are_another_protocol(
    streamed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranking = load_record(streamed / "record.json").ranking
    ranking["stream"]["rounds"] = 1
    changed(streamed, ranking=ranking, ranking_hash=content_hash(ranking))
    assert "stream of the protocol is" in " ".join(rejected(streamed, tmp_path, capsys).split())
