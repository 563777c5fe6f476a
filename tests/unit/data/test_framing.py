"""Whole images, other normalisations and distorted colours in the training stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from adaptbench.contracts import plugins
from adaptbench.contracts.settings import Settings
from adaptbench.data import transforms
from adaptbench.data.framing import Crops, WholeImages
from adaptbench.data.normalisation import CAFFE, IMAGENET, Normalisation
from adaptbench.data.sampling import Sampling
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import label_map
from adaptbench.errors import UsageError

BOX = (80, 40)


@pytest.fixture(scope="module")
def source(small_world: Path) -> Domain:
    gta5 = plugins.load(plugins.discover().find("dataset", "gta5"))(small_world / "gta5")
    table = label_map("cityscapes", "cityscapes19")
    return Domain([(gta5, sample, BOX, table) for sample in gta5.samples("all")])


def stream(source: Domain, sampling: Sampling, values: Normalisation = IMAGENET, **settings: Any) -> Any:
    stated = {"crop": 32, "batch_size": 2, "iterations": 4, **settings}
    return TrainingStream(source, source, Settings.model_validate(stated), 3, sampling, values)


def test_whole_images_are_stretched_and_nothing_else(source: Domain) -> None:
    batch = stream(source, Sampling(framing=WholeImages()), CAFFE)[1]
    by_name = {sample.name: (dataset, sample) for dataset, sample, _, _ in source.items}
    table = label_map("cityscapes", "cityscapes19")
    for name, image, label in zip(batch.source.names, batch.source.image, batch.source.label, strict=True):
        dataset, sample = by_name[name]
        resized = np.asarray(
            Image.fromarray(dataset.read_image(sample)).resize(BOX, Image.Resampling.BICUBIC)
        )
        expected = resized[..., ::-1].astype(np.float32) - np.array(CAFFE.mean, dtype=np.float32)
        np.testing.assert_array_equal(image.numpy(), expected.transpose(2, 0, 1))
        nearest = Image.fromarray(dataset.read_label(sample)).resize(BOX, Image.Resampling.NEAREST)
        np.testing.assert_array_equal(label[0].numpy(), table[np.asarray(nearest)])
    assert batch.target is not None and batch.target.image.shape == (2, 3, BOX[1], BOX[0])


def test_whole_images_of_two_sizes_do_not_fit_into_one_batch(source: Domain) -> None:
    dataset, sample, _, table = source.items[0]
    mixed = Domain([*source.items, (dataset, sample, (64, 32), table)])
    whole = Sampling(framing=WholeImages())
    with pytest.raises(UsageError, match=r"2 training sizes \(64x32, 80x40\).*batch_size=1"):
        stream(mixed, whole)
    assert len(stream(mixed, whole, batch_size=1)) == 4
    assert len(stream(mixed, Sampling())) == 4


def test_a_network_may_ask_for_other_values(source: Domain) -> None:
    usual, caffe = stream(source, Sampling())[0], stream(source, Sampling(), CAFFE)[0]
    levels = usual.source.image * torch.tensor(IMAGENET.std).view(3, 1, 1)
    levels += torch.tensor(IMAGENET.mean).view(3, 1, 1)
    mean = torch.tensor(CAFFE.mean).view(3, 1, 1)
    torch.testing.assert_close(caffe.source.image + mean, levels.flip(1), atol=1e-3, rtol=0)
    assert torch.equal(usual.source.label, caffe.source.label)


def test_swapping_twice_changes_nothing_and_rgb_values_fit() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    blue_first = transforms.normalise(image, CAFFE)[None]
    swapped = CAFFE.swapped(blue_first)
    torch.testing.assert_close(swapped[0], transforms.normalise(image, CAFFE.rgb))
    assert torch.equal(CAFFE.swapped(swapped), blue_first)
    assert IMAGENET.rgb is IMAGENET and IMAGENET.swapped(swapped) is swapped


def test_distortion_changes_colours_of_the_source_alone(source: Domain) -> None:
    usual, distorted = stream(source, Sampling()), stream(source, Sampling(distortion=True))
    changed = 0
    for t in range(4):
        a, b = usual[t], distorted[t]
        assert torch.equal(a.source.label, b.source.label)
        assert torch.equal(a.target.image, b.target.image)
        changed += not torch.equal(a.source.image, b.source.image)
        assert torch.equal(b.source.image, distorted[t].source.image)
    assert changed >= 2


def test_crops_resize_as_before() -> None:
    image = np.random.default_rng(0).integers(256, size=(30, 50, 3), dtype=np.uint8)
    size = Crops().size((50, 30), (20, 20))
    assert size == transforms.fitted_size((50, 30), (20, 20))
    np.testing.assert_array_equal(Crops().image(image, size), transforms.resize_image(image, size))


def test_whole_images_of_one_width_keep_the_ratio_of_their_training_size() -> None:
    framing = WholeImages(width=1280)
    assert framing.size((2048, 1024), (1024, 512)) == (1280, 640)
    assert framing.size((1914, 1052), (1280, 720)) == (1280, 720)
    assert WholeImages(width=320).size((960, 540), (320, 180)) == (320, 180)


def test_half_of_the_images_are_mirrored_before_they_are_resized(source: Domain) -> None:
    table = label_map("cityscapes", "cityscapes19")
    by_name = {sample.name: (dataset, sample) for dataset, sample, _, _ in source.items}
    mirrored = []
    made = stream(source, Sampling(framing=WholeImages(mirrored=True)), CAFFE, batch_size=1, iterations=12)
    for batch in (made[i] for i in range(len(made))):
        dataset, sample = by_name[batch.source.names[0]]
        raw = dataset.read_label(sample)
        labels = [
            table[np.asarray(Image.fromarray(side).resize(BOX, Image.Resampling.NEAREST))]
            for side in (raw, np.ascontiguousarray(raw[:, ::-1]))
        ]
        found = batch.source.label[0, 0].numpy()
        mirrored.append(bool(np.array_equal(found, labels[1])))
        assert mirrored[-1] or np.array_equal(found, labels[0])
    assert 2 < sum(mirrored) < 10


def test_half_of_the_images_are_blurred_a_little(source: Domain) -> None:
    sharp = stream(source, Sampling(framing=WholeImages()), batch_size=1, iterations=12)
    soft = stream(source, Sampling(framing=WholeImages(), blur=1.0), batch_size=1, iterations=12)
    changed = []
    for one, other in ((sharp[i], soft[i]) for i in range(len(sharp))):
        assert torch.equal(one.source.label, other.source.label)
        changed.append(not torch.equal(one.source.image, other.source.image))
        assert (one.source.image - other.source.image).abs().mean() < 0.5
    assert 2 < sum(changed) < 10
