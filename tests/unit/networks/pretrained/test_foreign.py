"""Files as they are found in the wild: what is in them is read, and what is wrong with them is said."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from adaptbench.errors import UsageError, WeightsError
from adaptbench.networks.pretrained.foreign import flatten, read_content, read_tensors

STATE = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}


class Config:
    """Something a training program keeps beside its weights."""

    rate = 0.1


class Opening:
    """Something that acts when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def refused(path: Path, error: type[Exception] = WeightsError, *, trust_pickle: bool = False) -> str:
    with pytest.raises(error) as caught:
        read_tensors(path, trust_pickle)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said


def check_state(found: dict[str, Tensor]) -> None:
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())
    assert not any(tensor.requires_grad for tensor in found.values())


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OrderedDict(STATE),
        {"state_dict": STATE},
        {
            "meta": {"epoch": 3, "CLASSES": ["road"]},
            "state_dict": STATE,
            "optimizer": {"param_groups": [{"lr": 0.1}]},
        },
        {
            "model": STATE,
            "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
            "iteration": torch.tensor(7),
        },
        {"teacher": {"model": STATE}},
        {"some_name": STATE},
        {"module." + name: tensor for name, tensor in STATE.items()},
        {"state_dict": {"_orig_mod.module." + name: tensor for name, tensor in STATE.items()}},
        {name: nn.Parameter(tensor) for name, tensor in STATE.items()},
    ],
)
def test_containers_are_looked_through(content: Any, new: bool, tmp_path: Path) -> None:
    check_state(read_tensors(saved(tmp_path / "a.pth", content, _use_new_zipfile_serialization=new)))


def test_safetensors_whatever_the_suffix(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.bin")
    check_state(read_tensors(tmp_path / "a.bin"))


@pytest.mark.parametrize(
    "names", [("student", "teacher"), ("state_dict", "state_dict_ema"), ("generator", "critic")]
)
def test_several_networks_are_not_guessed_at(names: tuple[str, str], tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", dict.fromkeys(names, STATE) | {"epoch": 3})
    assert f"holds several things that may be meant: {', '.join(names)}. Save the one you want" in refused(
        path
    )


def test_tensors_beside_a_container_are_not_guessed_at(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"model": STATE, "prototypes": torch.ones(3, 4)})
    assert "may be meant: model, prototypes." in refused(path)


def test_the_nesting_can_be_kept(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.pth", {"feature_extractor": {"module.a": torch.ones(1)}, "classifier": STATE, "n": 3}
    )
    assert list(flatten(read_content(path))) == [
        "feature_extractor.a",
        "classifier.conv.weight",
        "classifier.conv.bias",
    ]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.pth").endswith("there is no such file of weights.")
    assert "Is a directory" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Download it again."),
        (b"\n\n<!DOCTYPE html><html><body>Sign in", "is a web page, not a file of weights"),
        (b"\xef\xbb\xbf<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3\n", "is a Git LFS pointer"),
        (
            b"Not Found",
            "is neither a safetensors file nor one that torch.save wrote (it begins with b'Not Foun')",
        ),
        (b"\x80\x04\x95abc", "is neither a safetensors file"),
    ],
)
def test_what_is_no_file_of_weights(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    assert message in refused(tmp_path / "a.pth")
    assert message in refused(tmp_path / "a.pth", trust_pickle=True)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.filterwarnings("ignore")
def test_a_download_that_was_cut_short(kind: str, share: float, tmp_path: Path) -> None:
    path, state = tmp_path / "a.pth", {"a": torch.ones(100, 100), "b": torch.ones(100, 100)}
    if kind == "safetensors":
        save_file(state, path)
    else:
        saved(path, state, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    said = refused(path)
    assert re.search(
        r"is damaged, often because its download was cut short \([\d,]+ bytes; .*Download it again", said
    )
    assert "damaged" in refused(path, trust_pickle=True)


@pytest.mark.parametrize("new", [True, False])
def test_other_objects_need_trust(new: bool, tmp_path: Path) -> None:
    content = {"state_dict": STATE, "config": Config()}
    path = saved(tmp_path / "a.pth", content, _use_new_zipfile_serialization=new)
    said = refused(path, UsageError)
    assert re.search(r"holds Python objects beside tensors \(\S*test_foreign\.Config\)", said)
    assert "runs code that the file brings along" in said
    assert "add --trust-pickle" in said
    check_state(read_tensors(path, trust_pickle=True))


def test_a_file_that_acts_does_so_only_with_trust(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"state_dict": STATE, "trap": Opening(tmp_path / "sprung")})
    refused(path, UsageError)
    assert not (tmp_path / "sprung").exists()
    check_state(read_tensors(path, trust_pickle=True))
    assert (tmp_path / "sprung").exists()


def test_a_whole_network_is_stripped_to_its_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"model": nn.Linear(2, 2)})
    refused(path, UsageError)
    assert read_tensors(path, trust_pickle=True).keys() == {"weight", "bias"}


def test_trust_is_not_used_where_it_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = saved(tmp_path / "a.pth", STATE), []
    load = torch.load

    def watched(*args: Any, weights_only: bool, **options: Any) -> Any:
        asked.append(weights_only)
        return load(*args, weights_only=weights_only, **options)

    monkeypatch.setattr(torch, "load", watched)
    check_state(read_tensors(path, trust_pickle=True))
    assert asked == [True]


def test_classes_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.pth", {"state_dict": STATE, "config": Config()})
    monkeypatch.delattr(f"{__name__}.Config")
    said = refused(path, trust_pickle=True)
    assert "holds objects of a program that is not installed here" in said


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"epoch": 3, "log": {"a": 1}}, "a dictionary with epoch, log"),
        ([torch.ones(2)], "an object of type list"),
        (3, "an object of type int"),
    ],
)
def test_no_tensor_at_all(content: Any, what: str, tmp_path: Path) -> None:
    assert f"holds no tensor, but {what}." in refused(saved(tmp_path / "a.pth", content))
