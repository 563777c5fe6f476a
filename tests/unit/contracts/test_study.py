"""A study becomes one job per variant and seed; what it states is scaled, what the user states is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptbench import networks
from adaptbench.cli import main
from adaptbench.contracts import plugins
from adaptbench.contracts.profiles import profile
from adaptbench.contracts.study import load_study
from adaptbench.errors import PluginError, UsageError
from adaptbench.planning.plan import Plan, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import JobSpec

MINI = "minicity/gta5_to_cityscapes"
#: The 3000 iterations of 40,000 that the variant 'large' states.
WARMUP = int(3000 * (profile("mini").samples or 0) / (2 * 40_000) + 0.5)
HEADER = """
from adaptbench.contracts.study import Delta, Published, Study, Variant

SEGFORMER = {"network": "segformer-mit_b5"}
"""
STUDY = '''
class Mine(Study):
    """A study."""

    name = "mine"
    title = "Mine"
    paper = None
    table = "table 1"
    benchmarks = ("gta5_to_cityscapes",)
    variants = (
        Variant("plain", "dacs", {}, Published(53.9, 0.6, 3)),
        Variant("large", "dacs", {"crop": 640, "warmup": 3000}, Published(55.0)),
        Variant("cold", "dacs", {"warmup": 0}),
        Variant("other network", "dacs", SEGFORMER, Published(58.2)),
        Variant("parts", "daformer", {"feature_distance": "off", "crop": 512, **SEGFORMER}),
    )
    reference = "plain"
    checks = (Delta("size", "large", "plain", 1.1), Delta("warm-up", "plain", "cold"), Delta("x", "large", "plain"))
'''


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))


def write(folder: Path, text: str = HEADER + STUDY, **replaced: str) -> Path:
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "mine.py"
    file.write_text(text)
    return file


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write(tmp_path)


def plan(file: Path, **request: Any) -> Plan:
    values = {"study": "mine", "benchmarks": (), "plugins": (file,), "device": "cpu", "out": Path("nowhere")}
    return make_plan(Request(**{**values, **request}))


def specs(file: Path, **request: Any) -> dict[str, JobSpec]:
    """The job of every variant, for one seed."""
    made = plan(file, **request)
    return {made.variants[job.folder]: job.spec for job in made.jobs}


# ------------------------------------------------------------------ declaration


def test_a_study_is_found_and_read(mine: Path) -> None:
    registry = plugins.discover([mine])
    assert registry.find("study", "mine").title == "Mine"
    study = load_study(registry, "mine")
    assert study.methods() == ("dacs", "daformer")
    assert [study.published_difference(check) for check in study.checks] == [1.1, None, 1.1]


def test_the_checkouts_studies_are_named_by_their_place() -> None:
    registry = plugins.discover()
    assert {"hrda/components", "hrda/crops", "daformer/components"} <= set(registry.names("study"))
    first, second = (load_study(registry, f"{paper}/components") for paper in ("hrda", "daformer"))
    assert first.title != second.title
    assert load_study(registry, "hrda/components") is first


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({'"large", "dacs"': '"plain", "dacs"'}, "two variants are called 'plain'"),
        ({'reference = "plain"': 'reference = "plane"'}, "a variant 'plane' that it does not have"),
        (
            {'"plain", "cold")': '"plain", "old")'},
            "a variant 'old' that it does not have; its variants: plain",
        ),
        ({"(Study)": ""}, "Mine is not a subclass of adaptbench.contracts.study.Study"),
    ],
)
def test_a_study_that_contradicts_itself(tmp_path: Path, replaced: dict[str, str], message: str) -> None:
    file = write(tmp_path, **replaced)
    with pytest.raises(PluginError, match=rf"{file}: .*{message}"):
        load_study(plugins.discover([file]), "mine")


def test_a_study_without_variants(tmp_path: Path) -> None:
    file = write(tmp_path, HEADER + STUDY[: STUDY.index("    variants")] + "    variants = ()\n")
    with pytest.raises(PluginError, match="it has no variant"):
        load_study(plugins.discover([file]), "mine")


# --------------------------------------------------------------------- planning


def test_one_job_per_variant_and_seed(mine: Path) -> None:
    made = plan(mine, seeds=(0, 1))
    jobs = [(made.variants[job.folder], job.spec.method, job.spec.seed) for job in made.jobs]
    labels = ("plain", "large", "cold", "other network", "parts")
    methods = ("dacs", "dacs", "dacs", "dacs", "daformer")
    assert jobs == [(label, m, seed) for label, m in zip(labels, methods, strict=True) for seed in (0, 1)]
    assert {job.spec.board for job in made.jobs} == {MINI}


def test_what_is_stated_scales_and_beats_the_recipe(mine: Path) -> None:
    found, mini = specs(mine), profile("mini")
    plain = found["plain"].settings
    assert found["large"].settings["crop"] == mini.length(640)
    assert found["large"].settings["warmup"] == WARMUP
    assert found["cold"].settings == {**plain, "warmup": 0}
    assert found["other network"].settings["network"] == "segformer-lite0"
    recipe = networks.spec("segformer-lite0").recipe
    assert found["other network"].settings["learning_rate"] == recipe["learning_rate"]
    assert specs(mine, profile="paper", data="generated", limit=1)["large"].settings["crop"] == 640


def test_what_changes_nothing_is_no_override(mine: Path) -> None:
    found = specs(mine)
    assert found["plain"].overrides == {}
    assert found["large"].overrides == {"crop": 160, "warmup": WARMUP}
    assert found["other network"].overrides == {"network": "segformer-lite0"}
    assert found["parts"].overrides == {"feature_distance": "off", "network": "segformer-lite0"}  # not crop


def test_a_variant_is_the_job_that_a_user_would_ask_for(mine: Path) -> None:
    request = {"methods": ("dacs",), "device": "cpu", "out": Path("nowhere")}
    found = specs(mine)
    for label, settings in (("plain", ()), ("large", ("crop=160", f"warmup={WARMUP}"))):
        (job,) = make_plan(Request(**request, settings=settings)).jobs  # type: ignore[arg-type]
        assert found[label].model_copy(update={"plugins": []}) == job.spec


def test_the_users_settings_are_not_scaled_and_hold_for_all(mine: Path) -> None:
    found = specs(mine, settings=("batch_size=4", "dacs.blur=false", "iterations=20"))
    assert {spec.settings["batch_size"] for spec in found.values()} == {4}
    assert {spec.settings["iterations"] for spec in found.values()} == {20}
    assert found["large"].overrides == {
        "crop": 160,
        "warmup": WARMUP,
        "batch_size": 4,
        "blur": False,
        "iterations": 20,
    }
    assert "blur" not in found["parts"].overrides


@pytest.mark.parametrize("text", ["crop=64", "dacs.crop=64", "daformer.feature_distance=all", "network=x"])
def test_what_a_study_varies_is_not_the_users_to_set(mine: Path, text: str) -> None:
    key = text.split("=")[0].split(".")[-1]
    with pytest.raises(UsageError, match=rf"--set {key}: the study mine varies it itself \(variant "):
        plan(mine, settings=(text,))


def test_a_method_that_does_not_vary_a_key_may_get_it(mine: Path) -> None:
    found = specs(mine, settings=("daformer.warmup=3",))
    assert found["parts"].settings["warmup"] == 3
    assert found["large"].settings["warmup"] == WARMUP


def test_another_benchmark_may_be_asked_for(mine: Path) -> None:
    assert {spec.board for spec in specs(mine, benchmarks=(MINI,)).values()} == {MINI}


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({'"parts", "daformer"': '"parts", "daformr"'}, "study mine, variant 'parts': Unknown method 'daformr'"),
        ({'"feature_distance"': '"feature_dist"'}, "Unknown setting of daformer in the study mine, variant 'parts'"),
        ({'"crop": 640': '"crop": "wide"'}, r"variant 'large' \(dacs\): study: crop='wide': crop .*valid integer"),
        ({"segformer-mit_b5": "segformer"}, "Unknown network 'segformer'"),
        ({"segformer-mit_b5": "deeplabv2-lite0"}, "'other network' and 'plain' of the study mine are one and the same"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_run(tmp_path: Path, replaced: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(write(tmp_path, **replaced))


def test_a_method_that_cannot_be_imported_stops_the_study(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        'raise RuntimeError("oh no")\n\nclass B:\n    name = "broken"\n    title = "B"\n    tags = ()\n'
    )
    file = write(tmp_path, **{'"parts", "daformer"': '"parts", "broken"'})
    with pytest.raises(PluginError, match=r"The study mine cannot be run\..*oh no"):
        plan(file, plugins=(file, broken))


def test_what_the_paper_prints_is_published(mine: Path, official: Path) -> None:
    """On its data and from its start weights; ``limit`` lets a machine without them plan, too."""
    found = specs(mine, profile="paper", data_root=official, limit=1)
    origins = {label: spec.settings_origin for label, spec in found.items()}
    assert origins["plain"] == origins["large"] == origins["other network"] == "published"
    assert origins["parts"] == "transferred"  # the paper prints no such row, nor has the method such settings
    assert {spec.settings_origin for spec in specs(mine).values()} == {"transferred"}
    from_scratch = specs(mine, profile="paper", data_root=official, settings=("pretraining=none",))
    assert {spec.settings_origin for spec in from_scratch.values()} == {"transferred"}


# ----------------------------------------------------------------- command line


def test_a_study_says_which_methods_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--study", "hrda/components", "--methods", "all", "--dry-run"]) == 2
    assert "--study hrda/components says itself which methods are run" in capsys.readouterr().err
    assert main(["--study", "hrda/componants", "--dry-run"]) == 2
    assert "Unknown study 'hrda/componants'. Did you mean 'hrda/components'" in capsys.readouterr().err


def test_a_plan_shows_in_what_variants_differ(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["--study", "mine", "--plugins", str(mine), "--out", str(out), "--dry-run"]
    assert main([*command, "--seeds", "0", "1", "2"]) == 0
    shown = capsys.readouterr().out
    assert "crop=160" in shown and "network=segformer-lite0" in shown and "nothing" in shown
    assert shown.count("3 (0-2)") == 5
    assert not out.exists()


def test_ls_lists_studies(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "studies", "--plugins", str(mine)]) == 0
    shown = capsys.readouterr().out
    assert "hrda/components" in shown and "Mine" in shown and "table 1" in shown
