"""The runner itself: what it finds, what it compares, and what it refuses to let pass."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forks import Fork

from . import registry
from .case import Case
from .discovery import CaseFile, DiscoveryError, discover
from .registry import kind_of
from .runner import open_case, run_case
from .test_golden import COPIED
from .tolerances import EXACT, Tolerance, tolerance_for

ROOT = Path(__file__).parents[2]


def write_case(folder: Path, name: str, content: dict[str, Any] | None = None, **arrays: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"case": name, "tolerance": {"atol": 1e-3}, **(content or {})}))
    if arrays:
        np.savez(path.with_suffix(".npz"), **{key.replace("__", "/"): value for key, value in arrays.items()})
    return path


def make_case(folder: Path, content: dict[str, Any] | None = None, **arrays: Any) -> Case:
    return Case("made_up", "made_up", write_case(folder, "made_up", content, **arrays))


# --- discovery -------------------------------------------------------------------------------------------


def test_cases_are_found_recursively_and_other_json_files_are_not_cases(tmp_path: Path) -> None:
    write_case(tmp_path / "b" / "c", "second")
    write_case(tmp_path, "first")
    (tmp_path / "b" / "notes.json").write_text("[1, 2]")
    assert [file.name for file in discover(tmp_path)] == ["first", "second"]


def test_folders_of_a_data_tree_are_cases(tmp_path: Path) -> None:
    tree = tmp_path / "data"
    write_case(tree / "metrics", "hidden")
    (tree / "formats").mkdir()
    (tree / "index.json").write_text("{}")
    assert discover(tmp_path) == [
        CaseFile("formats", tree / "formats"),
        CaseFile("metrics", tree / "metrics"),
    ]


def test_a_folder_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match="no case found"):
        discover(tmp_path)
    with pytest.raises(DiscoveryError, match="no such folder"):
        discover(tmp_path / "missing")


def test_a_damaged_case_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DiscoveryError, match=r"broken\.json"):
        discover(tmp_path)


def test_kinds_restrict_the_cases(tmp_path: Path) -> None:
    for name in ("ema", "ema_v2", "blur"):
        write_case(tmp_path, name)
    assert [file.name for file in discover(tmp_path, ["ema"])] == ["ema", "ema_v2"]
    with pytest.raises(DiscoveryError, match="no case of kind 'rcs'"):
        discover(tmp_path, ["ema", "rcs"])


def test_the_kind_is_the_longest_registered_prefix() -> None:
    kinds = ["pseudo", "pseudo_label", "ema"]
    assert kind_of("pseudo_label_v2", kinds) == "pseudo_label"
    assert kind_of("pseudo_margins", kinds) == "pseudo"
    assert kind_of("rcs", kinds) is None


# --- comparing -------------------------------------------------------------------------------------------


def test_an_error_within_the_tolerance_is_recorded(tmp_path: Path) -> None:
    case = make_case(tmp_path, out__a=np.array([1.0, 2.0]))
    case.compare("out/a", np.array([1.0, 2.0005]))
    case.finish()
    assert case.worst is not None
    assert case.worst.error == pytest.approx(5e-4)
    assert case.worst.ratio == pytest.approx(0.5)


@pytest.mark.parametrize(
    "got",
    [[1.0, 2.002], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]], [1.0]],
    ids=["too far", "nan", "inf", "broadcast", "short"],
)
def test_a_wrong_result_fails(tmp_path: Path, got: Any) -> None:
    case = make_case(tmp_path, out__a=np.array([1.0, 2.0]))
    with pytest.raises(AssertionError, match="out/a"):
        case.compare("out/a", np.array(got))


def test_nan_equals_nan_and_nothing_else(tmp_path: Path) -> None:
    case = make_case(tmp_path, out__a=np.array([np.nan, np.inf]))
    case.compare("out/a", np.array([np.nan, np.inf]))
    with pytest.raises(AssertionError):
        case.compare("out/a", np.array([0.0, np.inf]))


def test_integers_are_exact(tmp_path: Path) -> None:
    case = make_case(tmp_path, {"tolerance": {"atol": 10}}, out__label=np.array([3, 4], np.uint8))
    with pytest.raises(AssertionError, match="exact"):
        case.compare("out/label", np.array([3, 5]))


def test_a_restricted_comparison_needs_something_to_compare(tmp_path: Path) -> None:
    case = make_case(tmp_path, out__a=np.array([1.0, 2.0]))
    case.compare("out/a", np.array([1.0, 9.0]), where=np.array([True, False]))
    with pytest.raises(AssertionError, match="nothing is left"):
        case.compare("out/a", np.array([1.0, 9.0]), where=np.array([False, False]))


def test_a_result_that_is_not_compared_fails_unless_exempt(tmp_path: Path) -> None:
    arrays = {"out__a": np.zeros(2), "out__final__model.bias": np.zeros(2), "out__debug__b": np.zeros(2)}
    content = {"float32_vs_float64": {"noise_driven_keys": {"model.bias": 1e-3}}, "exempt": ["out/debug/*"]}
    case = make_case(tmp_path, content, **arrays)
    with pytest.raises(AssertionError, match=r"did not compare: out/a$"):
        case.finish()
    case.compare("out/final/model.bias", np.ones(2))
    case.compare("out/a", np.zeros(2))
    case.finish()


def test_a_handler_has_to_compare_something(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="compared nothing"):
        make_case(tmp_path).finish()


def test_an_unknown_kind_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no handler for kind 'never_heard_of'"):
        open_case(CaseFile("never_heard_of", tmp_path))


def test_a_kind_has_one_handler() -> None:
    assert "ema" in registry.handlers()
    with pytest.raises(ValueError, match="two handlers for kind 'ema'"):
        registry.handler("ema")(lambda case: None)


# --- tolerances ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "declared", "array", "integral", "expected"),
    [
        ("ema", {"atol": 1e-6}, "out/a", False, Tolerance(1e-6)),
        ("ema", {"atol": 1e-6, "rtol": 1e-4}, "out/a", False, Tolerance(1e-6, 1e-4)),
        ("ema", {"atol": 1e-6}, "out/a", True, EXACT),
        ("ema", {"exact": True}, "out/a", False, EXACT),
        ("ema", "exact", "out/a", False, EXACT),
        ("mic_mask", {"mask": "exact", "img": 1e-7}, "out/mask0", False, EXACT),
        ("mic_mask", {"mask": "exact", "img": 1e-7}, "out/img0", False, Tolerance(1e-7)),
        ("train_trajectory_mic", {"log": "prose"}, "out/it0/log/decode.loss_seg", False, Tolerance(0, 1e-4)),
        ("train_trajectory_mic", {"log": "prose"}, "out/it0/log/decode.acc_seg", False, Tolerance(0.05)),
        (
            "train_trajectory_mic",
            {"grad_norm": "rtol 2e-03 (of 1)"},
            "out/it0/grad_norm",
            False,
            Tolerance(0, 2e-3),
        ),
        ("train_trajectory_mic", {"final": "atol 1e-5 for all"}, "out/final/a", False, Tolerance(1e-5)),
        ("mit_backbone_lowvar", {"atol": 2e-5, "rtol": 1e-4}, "out/a", False, Tolerance(2e-5, 1e-3)),
    ],
)
def test_tolerance(case: str, declared: object, array: str, integral: bool, expected: Tolerance) -> None:
    assert tolerance_for(case, case, declared, array, integral) == expected


def test_a_missing_tolerance_is_an_error() -> None:
    with pytest.raises(LookupError, match="no number that applies"):
        tolerance_for("ema", "ema", {"log": "about right"}, "out/a", integral=False)


# --- variants of the recorded cases, and the command -----------------------------------------------------


def test_other_sizes_and_lists_need_no_other_handler(tmp_path: Path) -> None:
    """The same handlers recompute variants with fewer images and alphas under other names."""
    content, arrays = load("gaussian_blur")
    kept = {name: value for name, value in arrays.items() if not name.endswith("1")}
    blur = store(tmp_path, "gaussian_blur_v2", content, kept)
    content, arrays = load("ema")
    content["hyper_parameters"]["alphas"] = content["hyper_parameters"]["alphas"][:1]
    prefix = f"alpha{content['hyper_parameters']['alphas'][0]}/"
    kept = {name: value for name, value in arrays.items() if prefix in name}
    ema = store(tmp_path, "ema_one_alpha", content, kept)
    for file in (blur, ema):
        run_case(open_case(file))


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(COPIED / f"{name}.npz") as archive:
        return json.loads((COPIED / f"{name}.json").read_text()), dict(archive)


def store(folder: Path, name: str, content: dict[str, Any], arrays: dict[str, Any]) -> CaseFile:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**content, "case": name}))
    np.savez(path.with_suffix(".npz"), **arrays)
    return CaseFile(name, path)


def run_command(golden: Path, said: Path) -> tuple[int, str]:
    """The command in a fork, which has torch already."""
    command = [
        "-q",
        str(ROOT / "tests/conformance/test_golden.py"),
        "--golden",
        str(golden),
        f"--rootdir={ROOT}",
    ]
    status = Fork(lambda: int(pytest.main([*command, "-p", "no:cacheprovider"])), said).wait()
    return status, said.read_text()


def test_command_refuses_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    status, output = run_command(tmp_path / "cases", tmp_path / "said.txt")
    assert status == 1
    assert "no case found" in output


def test_command_reports_every_case(tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    write_case(cases, "never_heard_of", out__a=np.zeros(1))
    content, arrays = load("ema")
    store(cases, "ema", content, arrays)
    store(cases, "ema_with_more", content, {**arrays, "out/one_more": np.zeros(1)})
    status, output = run_command(cases, tmp_path / "said.txt")
    assert status == 1
    assert "no handler for kind 'never_heard_of'" in output
    assert "did not compare: out/one_more" in output
    assert "2 failed, 1 passed" in output
    assert re.search(r"^ema +passed +\S+ +atol 1e-06 ", output, re.MULTILINE)
