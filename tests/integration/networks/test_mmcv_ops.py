"""mmsegmentation imports without compiled operators, and only using one is an error."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec

import pytest

from adaptbench.networks import mmcv_ops

FULL_MMCV = importlib.util.find_spec("mmcv._ext") is not None
only_lite = pytest.mark.skipif(FULL_MMCV, reason="full mmcv is installed")


@pytest.fixture
def without_stand_in(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """``sys.meta_path`` as it is before `install`."""
    finders: list[object] = [f for f in sys.meta_path if not isinstance(f, mmcv_ops._StandInFinder)]
    monkeypatch.setattr(sys, "meta_path", finders)
    return finders


@only_lite
def test_all_of_mmsegmentation_imports() -> None:
    assert mmcv_ops.install()
    import mmcv.ops
    import mmseg.datasets
    import mmseg.models
    from mmcv.ops import ModulatedDeformConv2d, point_sample
    from mmcv.ops.carafe import CARAFEPack

    assert mmseg.models and mmseg.datasets and ModulatedDeformConv2d and point_sample and CARAFEPack
    assert (mmcv.ops.__spec__.name, mmcv.ops.carafe.__spec__.name) == ("mmcv.ops", "mmcv.ops.carafe")


@only_lite
def test_using_an_operator_says_which_and_what_to_do() -> None:
    assert mmcv_ops.install()
    from mmcv.ops import DeformConv2d

    with pytest.raises(
        ImportError, match=r"DeformConv2d is a compiled operator of mmcv and mmcv-lite is installed"
    ):
        DeformConv2d(3, 3)

    class Layer(DeformConv2d):  # type: ignore[misc]
        pass

    with pytest.raises(ImportError, match="compiled operator"):
        Layer()


@only_lite
def test_probes_of_other_libraries_stay_truthful() -> None:
    mmcv_ops.install()
    import mmcv.ops

    assert importlib.util.find_spec("mmcv.ops") is not None
    assert importlib.util.find_spec("mmcv._ext") is None  # mmengine asks for it
    assert not hasattr(mmcv.ops, "__wrapped__")


def test_installing_twice_is_installing_once(
    without_stand_in: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert mmcv_ops.install() and mmcv_ops.install()
    assert [isinstance(f, mmcv_ops._StandInFinder) for f in sys.meta_path].count(True) == 1


def test_full_mmcv_is_left_alone(without_stand_in: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(without_stand_in)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: ModuleSpec(name, None))
    assert not mmcv_ops.install()
    assert sys.meta_path == before
