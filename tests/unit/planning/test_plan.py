"""Requests become jobs, and hashes move with what can change a result and with nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptbench import networks
from adaptbench.contracts.profiles import profile
from adaptbench.data.normalisation import Normalisation
from adaptbench.errors import AdaptBenchError, DataError, PluginError, RunStateError, UsageError
from adaptbench.planning.plan import Job, Plan, make_plan
from adaptbench.planning.request import Request
from adaptbench.records.jobspec import SCHEMA_VERSION, State, save_job

MINI = "minicity/gta5_to_cityscapes"
RANDOM = "pretraining=none"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))


def plan(out: Path = Path("nowhere"), **request: Any) -> Plan:
    return make_plan(Request(**{"methods": ("source_only",), "out": out, "device": "cpu", **request}))


def job(out: Path = Path("nowhere"), **request: Any) -> Job:
    (only,) = plan(out, **request).jobs
    return only


def hashes(**request: Any) -> tuple[str, str, str]:
    spec = job(**request).spec
    return spec.job_hash, spec.group_hash, spec.ranking_hash


def test_a_request_is_every_method_benchmark_and_seed_once() -> None:
    jobs = plan(
        methods=("dacs", "oracle", "dacs"), seeds=(0, 1, 0), benchmarks=(MINI, "gta5_to_cityscapes")
    ).jobs
    assert [(j.spec.method, j.spec.seed) for j in jobs] == [
        ("dacs", 0),
        ("dacs", 1),
        ("oracle", 0),
        ("oracle", 1),
    ]
    assert {j.spec.board for j in jobs} == {MINI}
    assert all(j.state is State.PLANNED for j in jobs)


def test_networks_are_an_axis_of_the_plan() -> None:
    asked = ("deeplabv2-lite0", "daformer-lite0")
    jobs = plan(
        methods=("source_only", "dacs"), seeds=(0, 1), networks=asked, settings=("batch_size=1",)
    ).jobs
    facts = {(j.spec.method, j.spec.seed, j.spec.settings["network"]) for j in jobs}
    assert facts == {(m, s, n) for m in ("source_only", "dacs") for s in (0, 1) for n in asked}
    assert {j.spec.ranking_hash for j in jobs} == {job().spec.ranking_hash}
    assert job(networks=("deeplabv2-lite0",)).spec.job_hash == job().spec.job_hash
    with pytest.raises(UsageError, match="--networks daformer-mini: --set names a network, too"):
        plan(networks=("daformer-mini",), settings=("source_only.network=deeplabv2-mini",))
    with pytest.raises(UsageError, match="daformer-mini"):
        plan(networks=("daformer-minni",))


def test_averaged_tests_are_ranked_apart() -> None:
    usual, same, averaged = (
        job(methods=("fada",), settings=texts).spec
        for texts in ((), ("test_scales=[1.0]",), ("test_scales=[0.7,1.0]", "test_flip=true"))
    )
    assert usual.ranking["test_time_augmentation"] == "none"
    assert same.job_hash == usual.job_hash
    assert averaged.ranking["test_time_augmentation"] == "scales 0.7, 1, mirrored"
    assert averaged.ranking_hash != usual.ranking_hash


def test_all_means_every_method() -> None:
    assert {"dacs", "majority", "oracle", "source_only"} <= {
        j.spec.method for j in plan(methods=("all",)).jobs
    }
    with pytest.raises(UsageError, match="Did you mean 'dacs'"):
        plan(methods=("all", "dasc"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"methods": ("dasc",)}, "Unknown method 'dasc'. Did you mean 'dacs'.*Known: .*source_only"),
        ({"benchmarks": ("gta5_to_cityscape",)}, "Unknown benchmark.*Did you mean 'gta5_to_cityscapes'"),
        ({"profile": "big"}, "Unknown profile 'big'.*Known: mini, paper"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
        ({"precision": "tf32"}, "--precision tf32: only NVIDIA GPUs .* Use float32 or bf16"),
        ({"settings": ("crop",)}, "expected KEY=VALUE"),
        ({"settings": ("corp=64",)}, "Unknown setting 'corp'. Did you mean 'crop'"),
        ({"settings": ("source_only.corp=64",)}, "Unknown setting of source_only 'corp'"),
        ({"settings": ("dacs.crop=64",)}, "Unknown method in --set 'dacs'.*source_only"),
        ({"settings": ("minicity.gapp=0",)}, "Unknown dial of minicity 'gapp'. Did you mean 'gap'"),
        ({"settings": ("minicity.gap=2",)}, "minicity.gap must be a number from 0 to 1, found 2"),
        ({"settings": ("minicity.scale=1",)}, "Unknown dial of minicity 'scale'"),
        (
            {"settings": ("crop=wide",)},
            r"source_only: --set crop='wide': crop \(side .*\) should be a valid integer",
        ),
        ({"settings": ("network=resnet",)}, "Unknown network 'resnet'"),
        ({"data_paths": {"gta": Path()}}, "Unknown dataset 'gta'. Did you mean 'gta5'"),
        ({"data_paths": {"gta5": Path()}}, "no benchmark asked for uses the official gta5.*--data official"),
        ({"benchmarks": (MINI,), "data": "official"}, "scored on generated data; drop --data official"),
    ],
)
def test_a_wrong_request_says_what_was_meant(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}"):
        plan(**request_)


def test_a_bare_key_must_exist_in_every_method() -> None:
    with pytest.raises(UsageError, match=r"not a setting of source_only.*dacs.pseudo_threshold=VALUE"):
        plan(methods=("dacs", "source_only"), settings=("pseudo_threshold=0.9",))
    jobs = plan(methods=("dacs", "source_only"), settings=("dacs.pseudo_threshold=0.9", "crop=64")).jobs
    assert [j.spec.settings["crop"] for j in jobs] == [64, 64]
    assert jobs[0].spec.settings["pseudo_threshold"] == 0.9
    assert jobs[0].spec.overrides == {"crop": 64, "pseudo_threshold": 0.9}
    with pytest.raises(
        UsageError, match=r"majority: --set network.*METHOD.KEY=VALUE sets it for one method only"
    ):
        plan(methods=("majority", "source_only"), settings=("network=deeplabv2-r50",))


@pytest.mark.parametrize(
    "change",
    [
        {"settings": ("crop=96",)},
        {"seeds": (1,)},
        {"methods": ("oracle",)},
        {"limit": 5},
        {"precision": "bf16"},
        {"compiled": True},
        {"settings": ("minicity.gap=0.5",)},
        {"settings": ("network=deeplabv2-r50", RANDOM)},
        {"settings": (RANDOM,)},
        {"profile": "paper", "data": "generated", "settings": (RANDOM,)},
    ],
    ids=str,
)
def test_the_job_hash_moves_with_what_can_change_the_result(change: dict[str, Any]) -> None:
    assert hashes(**change)[0] != hashes()[0]


@pytest.mark.parametrize(
    "change",
    [
        {"output_stride": 16},
        {"decode_head": {"type": "DeepLabV2Head", "in_channels": 112, "dilations": (2, 4)}},
        {"normalisation": Normalisation((127.5,) * 3, (127.0,) * 3)},
    ],
    ids=lambda change: ", ".join(change),
)
def test_another_network_of_the_same_name_is_another_job(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update, or where a configuration file was edited."""
    before, usual = hashes(), networks.spec
    monkeypatch.setattr(networks, "spec", lambda name: replace(usual(name), **change))
    after = hashes()
    assert after[0] != before[0] and after[1] != before[1] and after[2] == before[2]


def test_a_setting_that_came_later_is_hashed_where_it_changes_something() -> None:
    name = "discriminator_learning_rate_min"
    usual = job(methods=("advent",)).spec
    assert job(methods=("advent",), settings=(f"{name}=0.0",)).spec.job_hash == usual.job_hash
    assert name not in usual.settings
    changed = job(methods=("advent",), settings=(f"{name}=1e-6",)).spec
    assert changed.job_hash != usual.job_hash
    assert changed.settings[name] == 1e-6


def test_settings_and_seeds_do_not_touch_the_ranking() -> None:
    base = hashes()
    assert hashes(settings=("crop=96",))[1] != base[1]
    assert hashes(settings=("crop=96",))[2] == base[2]
    assert hashes(seeds=(1,))[1:] == base[1:]
    assert hashes(methods=("oracle",))[2] == base[2]
    assert hashes(precision="fp16")[2] == base[2]
    assert hashes(compiled=True)[2] == base[2]
    assert hashes(precision="float32", compiled=False, accumulate=1) == base
    in_parts = [hashes(accumulate=count) for count in (1, 2, 4)]
    assert len(set(in_parts)) == 3 and {each[2] for each in in_parts} == {base[2]}
    assert hashes(settings=("network=deeplabv2-r50", RANDOM))[2] == base[2]


@pytest.mark.parametrize(
    "change",
    [
        {"settings": ("minicity.gap=0.5",)},
        {"limit": 5},
        {"profile": "paper", "data": "generated", "settings": (RANDOM,)},
    ],
    ids=str,
)
def test_the_ranking_hash_moves_with_the_protocol(change: dict[str, Any]) -> None:
    assert hashes(**change)[2] != hashes()[2]


def test_equal_values_are_one_job() -> None:
    assert hashes(settings=("minicity.gap=1",)) == hashes(settings=("minicity.gap=1.0",)) == hashes()
    assert hashes(settings=("learning_rate=1",)) == hashes(settings=("learning_rate=1.0",))


@pytest.mark.parametrize(
    "change",
    [
        {"networks": ("deeplabv2-lite0",)},
        {"settings": ("network=deeplabv2-lite0",)},
        {"settings": ("momentum=0.9", "pretraining=default")},
        {"settings": ("minicity.gap=1",)},
    ],
    ids=str,
)
def test_what_would_be_so_anyway_is_no_changed_setting(change: dict[str, Any]) -> None:
    """Else a default row would lose its place on the board."""
    assert job(**change).spec == job().spec
    assert job(settings=("network=deeplabv2-mini",)).spec.overrides == {"network": "deeplabv2-mini"}


def test_where_data_and_results_lie_does_not_matter(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Path(shutil.copytree(official, tmp_path / "elsewhere"))
    there = hashes(data="official", data_root=official, out=tmp_path / "a")
    assert there == hashes(data="official", data_root=elsewhere, out=tmp_path / "b")
    paths = {name: elsewhere / name for name in ("gta5", "cityscapes")}
    assert there == hashes(data="official", data_paths=paths)
    base = hashes()
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "other cache"))
    assert hashes() == base


def test_debug_images_are_in_no_hash() -> None:
    assert job().spec.debug_pictures is None
    assert job(debug_images=5).spec.debug_pictures == 5
    assert hashes(debug_images=5) == hashes(debug_images=7) == hashes()


def test_image_cache_is_in_no_hash(tmp_path: Path) -> None:
    assert job().spec.image_cache is None
    assert job(image_cache=tmp_path).spec.image_cache == str(tmp_path.resolve())
    assert hashes(image_cache=tmp_path) == hashes(image_cache=Path("other")) == hashes()


def test_activation_checkpointing_is_in_no_hash() -> None:
    assert not job().spec.activation_checkpointing
    assert job(activation_checkpointing=True).spec.activation_checkpointing
    assert hashes(activation_checkpointing=True) == hashes()


def test_other_official_images_are_another_problem(official: Path) -> None:
    before = hashes(data="official", data_root=official)
    next(iter((official / "gta5" / "images").iterdir())).unlink()
    after = hashes(data="official", data_root=official)
    assert before[0] != after[0]
    assert before[2] != after[2]


def test_boards_say_where_the_scored_data_comes_from(official: Path) -> None:
    assert job().spec.board == MINI
    assert job(benchmarks=(MINI,)).spec == job().spec
    assert job(data="official", data_root=official).spec.board == "gta5_to_cityscapes"
    generated = job(benchmarks=(MINI,), profile="paper", settings=(RANDOM,)).spec
    assert generated.board == MINI
    assert generated.settings["crop"] == 512


def test_start_weights_that_are_nowhere() -> None:
    paper = {"profile": "paper", "data": "generated"}
    with pytest.raises(DataError, match=r"resnet101_v1c-e67eebb6\.pth.*ADAPTBENCH_WEIGHTS.*pretraining=none"):
        plan(**paper)
    smoke = plan(**paper, limit=2)
    assert smoke.jobs[0].spec.settings["pretraining"] == "none"
    assert "source_only: smoke run from RANDOM weights" in smoke.notes[0]


def test_other_start_weights_are_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "resnet101_v1c-e67eebb6.pth"
    monkeypatch.setenv("ADAPTBENCH_WEIGHTS", str(tmp_path))
    found = []
    for content in (b"one", b"other", b"one"):
        file.write_bytes(content)
        found.append(hashes(profile="paper", data="generated")[0])
    assert found[0] == found[2] != found[1]
    chosen = job(profile="paper", data="generated", settings=(f"pretraining={file}",)).spec
    assert chosen.settings["pretraining"] == str(file)


def test_limit_caps_iterations_and_images() -> None:
    spec = job(limit=3).spec
    assert spec.settings["iterations"] == 3
    assert spec.data["gta5"].counts == {"all": 6}
    assert job(limit=10**6).spec.settings["iterations"] == (profile("mini").samples or 0) // 2


def test_official_data_is_never_replaced(official: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gta5: no data folder given.*https://.*--data-root"):
        plan(data="official")
    shutil.rmtree(official / "cityscapes")
    with pytest.raises(DataError, match=rf"cityscapes: not found; looked for {official}/cityscapes, "):
        plan(data="official", data_root=official)
    with pytest.raises(DataError, match=r"gta5: /nowhere is not a folder\. Get it from"):
        plan(data="official", data_paths={"gta5": Path("/nowhere")})


def test_dials_need_a_generated_world(official: Path) -> None:
    with pytest.raises(UsageError, match="uses no generated data"):
        plan(data="official", data_root=official, settings=("minicity.gap=0",))


def broken_method(folder: Path) -> Path:
    file = folder / "broken.py"
    file.write_text(
        'raise RuntimeError("oh no")\n\nclass B:\n    name = "broken"\n    title = "B"\n    tags = ()\n'
    )
    return file


def test_a_method_that_raises_on_import_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    file = broken_method(tmp_path)
    for methods in (("all",), ("broken", "source_only")):
        made = plan(methods=methods, plugins=(file,))
        assert "source_only" in {j.spec.method for j in made.jobs}
        ((left_out, reason),) = made.broken
        assert left_out == file
        assert f"{file} cannot be imported: RuntimeError: oh no" in reason
    with pytest.raises(PluginError, match="oh no"):
        plan(methods=("broken",), plugins=(file,))


def test_a_class_that_is_no_method_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text('class Odd:\n    name = "odd"\n    title = "Odd"\n    tags = ()\n')
    with pytest.raises(PluginError, match=r"Odd is not a subclass of adaptbench.contracts.method.Method"):
        plan(methods=("odd",), plugins=(file,))


def test_a_skipped_job_says_why(tmp_path: Path) -> None:
    file = tmp_path / "never.py"
    file.write_text(
        "from methods.source_only import SourceOnly\n\n\nclass Never(SourceOnly):\n"
        '    name = "never"\n    title = "Never"\n    paper = None\n    tags = ()\n\n'
        "    @classmethod\n    def skip(cls, task):\n        return f'not for {task.benchmark}'\n"
    )
    skipped = job(methods=("never",), plugins=(file,))
    assert (skipped.state, skipped.reason) == (State.SKIPPED, "not for gta5_to_cityscapes")


DG = """
from adaptbench.contracts.benchmark import Benchmark, SplitRef


class Dg(Benchmark):
    name = "dg"
    title = "No target"
    setting = "dg"
    class_set = "cityscapes19"
    source = (SplitRef("gta5", "all"),)
    target = ()
    evaluation = (SplitRef("cityscapes", "val"),)
"""


def test_domain_generalization_skips_methods_that_need_a_target(tmp_path: Path) -> None:
    (tmp_path / "dg.py").write_text(DG)
    jobs = plan(
        methods=("dacs", "oracle", "source_only"), benchmarks=("dg",), plugins=(tmp_path / "dg.py",)
    ).jobs
    assert [j.state for j in jobs] == [State.SKIPPED, State.SKIPPED, State.PLANNED]
    assert "domain generalization" in jobs[0].reason


def test_the_folder_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    planned = job(tmp_path)
    planned.folder.mkdir(parents=True)
    save_job(planned.spec.model_copy(update={"schema_version": SCHEMA_VERSION + 1}), planned.folder)
    before = (planned.folder / "job.json").read_bytes()
    with pytest.raises(RunStateError, match=r"newer AdaptBench.*another --out"):
        job(tmp_path)
    assert (planned.folder / "job.json").read_bytes() == before


@pytest.mark.parametrize(
    ("network", "settings", "match"),
    [
        (
            "deeplabv2-mini",
            ("adapter=rein",),
            "source_only: deeplabv2-mini: adapter=rein needs a plain vision",
        ),
        (
            "daformer-mini",
            ("adapter=soma",),
            "daformer-mini: adapter=soma needs a plain vision transformer, not MiT",
        ),
        (
            "deeplabv2-mini",
            ("adapter=lora",),
            "adapter=lora needs a plain vision transformer or MiT, not ResNetV1c",
        ),
        ("daformer-mini", ("adapter=lora", "lora_rank=999"), "rank 999 is none for block1"),
        ("daformer-mini", ("adapter=lora", 'lora_targets=["qkv"]'), "lora_targets"),
        (
            "daformer-mini",
            ("adapter=frozen", "lora_rank=8"),
            "lora_rank is of adapter=lora, and adapter is frozen",
        ),
    ],
)
def test_an_adapter_that_the_encoder_cannot_have_is_refused(
    network: str, settings: tuple[str, ...], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        plan(networks=(network,), settings=settings)


def test_styles_of_a_frozen_encoder_are_refused() -> None:
    wanted = {"methods": ("daformer_dg",), "benchmarks": ("gta5_dg",), "networks": ("daformer-mini",)}
    with pytest.raises(UsageError, match=r"daformer_dg: .*set style_hallucination=false\.$"):
        plan(**wanted, settings=("adapter=frozen",))
    plan(**wanted, settings=("adapter=frozen", "style_hallucination=false"))


def test_stages_before_the_last_one_are_asked_too() -> None:
    with pytest.raises(UsageError, match="source_only: deeplabv2-mini: adapter=lora"):
        plan(methods=("few_label_8",), networks=("deeplabv2-mini",), settings=("adapter=lora",))


def test_adapters_have_hashes_of_their_own() -> None:
    networks = ("daformer-mini",)
    kinds = ((), ("adapter=frozen",), ("adapter=lora",), ("adapter=lora", "lora_rank=8"))
    found = {hashes(networks=networks, settings=settings) for settings in kinds}
    assert len({job for job, _, _ in found}) == 4
    assert len({ranking for _, _, ranking in found}) == 1
    assert hashes(networks=networks, settings=("adapter=full",)) == hashes(networks=networks)


def several_sources(folder: Path, second: str) -> tuple[Path, ...]:
    (folder / "both.yaml").write_text(
        f"benchmark: both\nclass_set: cityscapes19\nsource: [gta5/all, {second}]\n"
        "target: [cityscapes/train]\nevaluation: [cityscapes/val]\n"
    )
    return (folder / "both.yaml",)


def test_labels_of_every_source_must_fit_the_classes(tmp_path: Path) -> None:
    with pytest.raises(AdaptBenchError, match=r"both\.yaml.*cityscapes19.*camvid"):
        plan(benchmarks=("both",), plugins=several_sources(tmp_path, "camvid/train"))
    found = job(benchmarks=("both",), plugins=several_sources(tmp_path, "synthia/all"))
    assert {"gta5", "synthia"} <= found.spec.data.keys()
