"""``import``: what is kept, how often, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_checkpoint import NETWORK, published, trained

from adaptbench.contracts.profiles import profile
from adaptbench.data.taxonomy import class_set
from adaptbench.errors import RunStateError
from adaptbench.execution.given import imported, places
from adaptbench.storage import sealed_json
from adaptbench.training import checkpoint
from methods.daformer import DAFormer
from methods.hrda import HRDA

Call = Callable[..., str]
DAFORMER = ("--method", "daformer", "--network", NETWORK)


def facts(out: Path, name: str) -> dict[str, Any]:
    return sealed_json.read(out / "imported" / name / "imported.json", "")


@pytest.mark.parametrize(("which", "seed"), [("student", 1), ("teacher", 2)])
def test_imported_weights_give_the_logits_of_the_file(
    which: str, seed: int, call: Call, file: Path, out: Path
) -> None:
    said = call("import", file, *DAFORMER, "--weights", which, "--name", "mine")
    assert f"Imported: mine\n  the {which} of iter_40000.pth" in said
    place = out / "imported" / "mine"
    kept = imported.load_facts(place)
    stage = imported.stage_of(DAFormer, kept.network, kept.overrides, profile("paper"))
    network = imported.build(stage, kept.class_set, profile("paper")).scored_network().eval()
    network.load_state_dict(imported.load_weights(place, kept), strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), trained(seed=seed)(image))


def test_what_is_known_is_kept(call: Call, file: Path, out: Path) -> None:
    call("import", file, *DAFORMER, "--set", "inference=sliding", "crop=640")
    name = f"daformer-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    assert facts(out, name) == {
        "schema_version": 1,
        "name": name,
        "method": "daformer",
        "network": NETWORK,
        "class_set": "cityscapes19",
        "weights": "student",
        "overrides": {"crop": 640, "inference": "sliding"},
        "source_file": "iter_40000.pth",
        "source_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "weights_sha256": checkpoint.digest(trained(seed=1).state_dict()),
        "parameters": sum(parameter.numel() for parameter in trained().parameters()),
        "plugins": [],
    }
    assert {path.name for path in (out / "imported" / name).iterdir()} == {
        "imported.json",
        "weights.safetensors",
    }


def test_settings_are_full_size_and_follow_the_profile() -> None:
    settings = imported.stage_of(HRDA, NETWORK, {"detail_crop": 256}, profile("mini")).settings
    assert isinstance(settings, HRDA.Settings)
    assert (settings.crop, settings.detail_crop, settings.pretraining) == (256, 64, "none")


def test_twice_is_harmless(call: Call, file: Path, out: Path, tmp_path: Path) -> None:
    call("import", file, *DAFORMER, "--name", "mine")
    weights = out / "imported" / "mine" / "weights.safetensors"
    before = weights.stat()
    copy = tmp_path / "renamed.pth"
    copy.write_bytes(file.read_bytes())
    assert "Already imported: mine" in call("import", copy, *DAFORMER, "--name", "mine")
    after = weights.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_another_file_or_use_under_the_same_name_is_refused(
    call: Call, file: Path, out: Path, tmp_path: Path
) -> None:
    call("import", file, *DAFORMER, "--name", "mine")
    other = tmp_path / "other.pth"
    torch.save(published(trained(seed=3), trained(seed=4)), other)
    for arguments in ((other,), (file, "--weights", "teacher"), (file, "--set", "resolution=2")):
        said = call("import", *arguments, *DAFORMER, "--name", "mine", status=2)
        assert "The name 'mine' is taken: " in said
        assert "holds the student of iter_40000.pth" in said
    assert facts(out, "mine")["weights"] == "student"


def test_an_import_that_was_cut_off_is_done_again(call: Call, file: Path, out: Path) -> None:
    call("import", file, *DAFORMER, "--name", "mine")
    (out / "imported" / "mine" / "imported.json").unlink()
    (out / "imported" / "mine" / "weights.safetensors").write_bytes(b"half")
    assert places.names(out) == []
    assert "Imported: mine" in call("import", file, *DAFORMER, "--name", "mine")
    imported.load_weights(out / "imported" / "mine", imported.load_facts(out / "imported" / "mine"))


def test_a_network_that_does_not_fit_writes_nothing(call: Call, file: Path, out: Path) -> None:
    said = call("import", file, "--method", "hrda", "--network", NETWORK, status=2)
    assert said.startswith(
        f"adaptbench: {file} does not fit the scored network of hrda on {NETWORK}: it lacks 74 of "
    )
    assert "decode_head.head.conv_seg.weight" in said
    assert not out.exists()


def test_pickles_need_trust(call: Call, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({**published(trained(), trained()), "config": Path("objects/are/not/plain")}, path)
    assert "add --trust-pickle" in call("import", path, *DAFORMER, status=2)
    assert "Imported: mine" in call("import", path, *DAFORMER, "--trust-pickle", "--name", "mine")


def test_another_class_set(call: Call, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(published(trained(11), trained(11)), path)
    assert "The file has 11 classes; --classes" in call("import", path, *DAFORMER, status=2)
    call("import", path, *DAFORMER, "--classes", "camvid11", "--name", "mine")
    assert len(class_set(facts(out, "mine")["class_set"])) == 11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "hrad"), "Unknown method 'hrad'. Did you mean 'hrda'"),
        ((*DAFORMER, "--name", "../up"), "--name '../up': use letters"),
        (
            (*DAFORMER, "--classes", "cityscapes"),
            "Unknown class set 'cityscapes'. Did you mean 'cityscapes19'",
        ),
        ((*DAFORMER, "--set", "crop"), "--set 'crop': expected KEY=VALUE"),
        ((*DAFORMER, "--set", "corp=3"), "Unknown setting of daformer 'corp'. Did you mean 'crop'"),
        ((*DAFORMER, "--set", "crop=wide"), "--set crop='wide': crop (side of the square training crop"),
        (("--method", "daformer", "--network", "daformer-mit"), "Unknown network 'daformer-mit'"),
    ],
)
def test_wrong_words(arguments: tuple[str, ...], message: str, call: Call, file: Path, out: Path) -> None:
    assert message in call("import", file, *arguments, status=2)
    assert not out.exists()


def test_damage_is_noticed(call: Call, file: Path, out: Path) -> None:
    call("import", file, *DAFORMER, "--name", "mine")
    place = out / "imported" / "mine"
    kept = imported.load_facts(place)
    checkpoint.save(place / "weights.safetensors", trained(seed=9).state_dict(), {})
    with pytest.raises(RunStateError, match="has changed since its import"):
        imported.load_weights(place, kept)
    for text, message in (
        ("{", "is not the description of an import"),
        ('{"schema_version": 2}', "has version 2"),
    ):
        (place / "imported.json").write_text(text)
        with pytest.raises(RunStateError, match=message):
            imported.load_facts(place)
