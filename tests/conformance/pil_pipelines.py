"""Loaders of FADA, ADVENT, IntraDA and EHTDI, which resize by Pillow, on the recorded images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adaptbench.data.framing import Crops, Size, WholeImages
from adaptbench.data.normalisation import CAFFE, IMAGENET
from adaptbench.data.sampling import Sampling
from adaptbench.data.taxonomy import IGNORE, label_map
from adaptbench.networks.deeplabv2_fada import CAFFE_VGG

from .case import Array, Case
from .image_files import ImageFile, PythonRandom
from .recorded_tree import RecordedTree

#: "images 1e-5 (FADA), 1e-4 (mean-subtracted)", README of the recorded data.
_SCALED, _SUBTRACTED = 1e-5, 1e-4
_NINETEEN = label_map("cityscapes", "cityscapes19")
_WHOLE = WholeImages()


class Stretched(Crops):
    """What mmcv 2 resizes to unless told to keep the ratio."""

    def size(self, file: Size, box: Size) -> Size:
        return box


def check_pil_pipelines(case: Case) -> None:
    tree = RecordedTree(case, case.path / "pil_pipelines.json")
    with np.load(case.path / "pil_pipelines.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    loaders = _Loaders(case, tree, arrays)
    loaders.check_fada()
    loaders.check_advent()
    loaders.check_ehtdi()
    loaders.check_differences()
    assert not arrays, f"recorded arrays without a pipeline: {', '.join(arrays)}"
    tree.finish(
        ["versions/*", "*/source", "*/note", "*/order", "*/train_source", "*/test", "*/arrays/*", "*_dtype"]
    )


class _Loaders:
    def __init__(self, case: Case, tree: RecordedTree, arrays: dict[str, Array]) -> None:
        self.case, self.tree, self.arrays = case, tree, arrays
        names = tree.content["fada"]["arrays"]
        self.gta, self.city = (
            ImageFile(case.path, names[key], f"{Path(names[key]).stem}_labelIds.png")
            for key in ("fada_train_gta_img", "fada_test_city_img")
        )

    def compare(self, name: str, got: object, atol: float = 0.0) -> None:
        self.case.expect(name, got, self.arrays.pop(name), atol=atol)  # type: ignore[arg-type]

    def size(self, path: str) -> Size:
        width, height = self.tree.value(path)
        return width, height

    def check_fada(self) -> None:
        for key, values in (("mean", IMAGENET.mean), ("std", IMAGENET.std)):
            self.tree.expect(f"fada/{key}", np.array(values) / 255, atol=1e-12)
        train, test = self.size("fada/train_size_wh"), self.size("fada/test_size_wh")
        drawn = PythonRandom(0)
        image, label = self.gta.trained(train, _NINETEEN, Sampling(framing=_WHOLE), IMAGENET, drawn)
        self.compare("fada_train_gta_img", image, _SCALED)
        self.compare("fada_train_gta_label", label[0])
        recorded, tested = self.arrays["fada_test_city_img"], self.city.tested(test, _WHOLE, IMAGENET)
        self.differences = {
            "FADA normalisation (/255, 0.485.., 0.229..) vs mmseg (123.675.., 58.395..) on identical pixels": (
                recorded,
                tested.numpy(),
            ),
            "FADA test input: cv2 bilinear instead of PIL bicubic (normalised units)": (
                tested.numpy(),
                self.city.tested(test, Stretched(), IMAGENET).numpy(),
            ),
        }
        self.compare("fada_test_city_img", tested, _SCALED)
        bgr = self.city.tested(test, _WHOLE, CAFFE_VGG)
        self.compare("fada_test_city_img_to_bgr255", bgr, _SUBTRACTED)
        raw = self.city.read_label()
        self.compare("fada_test_city_label", _NINETEEN[raw])
        self.compare("fada_test_city_label16", label_map("cityscapes", "cityscapes16")[raw])

    def check_advent(self) -> None:
        self.tree.expect("advent/mean_bgr", CAFFE.mean, atol=1e-5)
        train, test = self.size("advent/train_size_wh"), self.size("advent/test_size_wh")
        drawn = PythonRandom(0)
        image, label = self.gta.trained(train, _NINETEEN, Sampling(framing=_WHOLE), CAFFE, drawn)
        self.compare("advent_gta_img", image, _SUBTRACTED)
        self.compare("advent_gta_label", label[0])
        tested = self.city.tested(test, _WHOLE, CAFFE)
        self.compare("advent_city_img", tested, _SUBTRACTED)
        train_image, train_label = self.city.trained(test, _NINETEEN, Sampling(framing=_WHOLE), CAFFE, drawn)
        self.case.expect("advent_city_img in training", train_image, tested)
        self.compare("advent_city_label_at_input_size", train_label[0])
        self.compare("advent_city_label", _NINETEEN[self.city.read_label()])
        self.differences |= {
            "ADVENT test input: cv2 bilinear instead of PIL bicubic (grey levels)": (
                tested.numpy(),
                self.city.tested(test, Stretched(), CAFFE).numpy(),
            ),
            "ADVENT test input: RGB instead of BGR (grey levels)": (
                tested.numpy() + np.array(CAFFE.mean)[:, None, None],
                (tested.numpy() + np.array(CAFFE.mean)[:, None, None])[::-1],
            ),
        }

    def check_ehtdi(self) -> None:
        self.tree.expect("ehtdi/mean_bgr", CAFFE.mean, atol=1e-5)
        width, height = self.size("ehtdi/train_size_wh")
        sampling = Sampling(framing=WholeImages(mirrored=True, width=width), blur=1.0)
        for number, recorded in enumerate(self.tree.content["ehtdi"]["train_cases"]):
            at, drawn = f"ehtdi/train_cases/{number}", PythonRandom(recorded["python_random_seed"])
            image, label = self.gta.trained((2 * width, 2 * height), _NINETEEN, sampling, CAFFE, drawn)
            self.compare(f"{recorded['key']}_img", image, _SUBTRACTED)
            self.compare(f"{recorded['key']}_label", _theirs(label[0].numpy()))
            self.tree.value(at)
        validation = self.size("ehtdi/val_size_wh")
        framing = WholeImages(width=validation[0])
        self.compare("ehtdi_val_city_img", self.city.tested(validation, framing, CAFFE), _SUBTRACTED)
        for suffix, classes in (("", "cityscapes19"), ("16", "cityscapes16"), ("13", "cityscapes13")):
            mapped = label_map("cityscapes", classes)[self.city.read_label()]
            self.compare(f"ehtdi_val_city_label{suffix}", _theirs(framing.label(mapped, validation)))

    def check_differences(self) -> None:
        """How far off other ways of resizing and normalising are."""
        for name, (first, second) in self.differences.items():
            difference = np.abs(first.astype(np.float64) - second)
            self.tree.expect(f"quantified/{name}/max_abs", difference.max(), atol=_SCALED)
            self.tree.expect(f"quantified/{name}/mean_abs", difference.mean(), atol=_SCALED)


def _theirs(label: Array) -> Array:
    return np.where(label == IGNORE, -1, label.astype(np.int16))
