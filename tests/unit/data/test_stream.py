"""Batch ``t`` depends on the stage seed and on ``t`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_domains import domains_in

from adaptbench.contracts.dataset import Sample
from adaptbench.contracts.settings import Settings
from adaptbench.data.batch import Batch
from adaptbench.data.framing import WholeImages
from adaptbench.data.image_jitter import Jitter, apply_jitter, draw_jitter
from adaptbench.data.sampling import Sampling
from adaptbench.data.stream import Domain, TrainingStream, batches
from adaptbench.data.transforms import normalise
from adaptbench.errors import DataError


@pytest.fixture(scope="module")
def domains(small_world: Path) -> tuple[Domain, Domain]:
    return domains_in(small_world)


def stream(domains: tuple[Domain, Domain], seed: int = 3, **settings: Any) -> TrainingStream:
    values = {"crop": 32, "batch_size": 2, "iterations": 12, **settings}
    return TrainingStream(*domains, Settings.model_validate(values), seed)


def assert_equal(a: Batch, b: Batch) -> None:
    assert a.source.names == b.source.names
    assert torch.equal(a.source.image, b.source.image)
    assert torch.equal(a.source.label, b.source.label)
    assert a.target is not None and b.target is not None
    assert a.target.names == b.target.names
    assert torch.equal(a.target.image, b.target.image)


def test_shapes_and_ranges(domains: tuple[Domain, Domain]) -> None:
    batch = stream(domains)[5]
    assert (batch.iteration, batch.draws.iteration, batch.draws.stage_seed) == (5, 5, 3)
    assert batch.source.image.shape == (2, 3, 32, 32)
    assert batch.source.image.dtype == torch.float32
    assert batch.source.label.shape == (2, 1, 32, 32)
    assert batch.source.label.dtype == torch.int64
    assert set(batch.source.label.flatten().tolist()) <= {*range(19), 255}
    assert batch.target is not None
    assert batch.target.image.shape == (2, 3, 32, 32)


def test_order_of_asking_does_not_matter(domains: tuple[Domain, Domain]) -> None:
    forwards, backwards = stream(domains), stream(domains)
    late = [backwards[t] for t in reversed(range(6))][::-1]
    for t in range(6):
        assert_equal(forwards[t], late[t])
        assert_equal(forwards[t], stream(domains)[t])


def test_it_goes_on_where_it_stopped(domains: tuple[Domain, Domain]) -> None:
    whole, rest = list(batches(stream(domains), 0, 0)), list(batches(stream(domains), 8, 0))
    assert [batch.iteration for batch in rest] == [8, 9, 10, 11]
    for a, b in zip(whole[8:], rest, strict=True):
        assert_equal(a, b)


def test_workers_give_the_same(domains: tuple[Domain, Domain]) -> None:
    alone, helped = batches(stream(domains, iterations=3), 0, 0), batches(stream(domains, iterations=3), 0, 1)
    for a, b in zip(alone, helped, strict=True):
        assert_equal(a, b)


def test_pinned_batches_are_the_same(domains: tuple[Domain, Domain], monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is not needed to see that the memory of every tensor is asked for."""
    pinned = list[torch.Size]()
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    short = stream(domains, iterations=2)
    for a, b in zip(batches(short, 0, 0, pinned=True), [short[0], short[1]], strict=True):
        assert_equal(a, b)
    assert len(pinned) == 2 * 3


def test_another_seed_is_another_stream(domains: tuple[Domain, Domain]) -> None:
    assert not torch.equal(stream(domains, 3)[0].source.image, stream(domains, 4)[0].source.image)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_an_epoch_shows_every_image_once(domains: tuple[Domain, Domain], batch_size: int) -> None:
    training = stream(domains, batch_size=batch_size)
    shown = [name for t in range(12) for name in training[t].source.names]
    epochs = [shown[i : i + 4] for i in range(0, len(shown), 4)]
    everything = {item[1].name for item in domains[0].items}
    assert all(set(epoch) == everything for epoch in epochs if len(epoch) == 4)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_source_and_target_are_not_paired(domains: tuple[Domain, Domain]) -> None:
    training = stream(domains, batch_size=4)
    order = [[item[1].name for item in domain.items] for domain in domains]
    pairs = set()
    for t in range(12):
        batch = training[t]
        assert batch.target is not None
        pairs |= {
            (order[0].index(s), order[1].index(t))
            for s, t in zip(batch.source.names, batch.target.names, strict=True)
        }
    assert len(pairs) > 4


def test_what_does_not_fill_the_crop_is_padded(domains: tuple[Domain, Domain]) -> None:
    batch = stream(domains, crop=64)[0]
    assert not batch.source.image[:, :, 45:].any()
    assert (batch.source.label[:, :, 45:] == 255).all()
    assert batch.target is not None
    assert not batch.target.image[:, :, 32:].any()
    assert batch.target.image[:, :, :32].any()


def test_flips_move_image_and_label_together(domains: tuple[Domain, Domain]) -> None:
    """An image whose grey value is its label stays so."""
    sample = domains[0].items[0][1]

    class Painted:
        def read_image(self, sample: Sample) -> np.ndarray:
            return np.repeat(self.read_label(sample)[..., None], 3, axis=2)

        def read_label(self, sample: Sample) -> np.ndarray:
            return np.tile(np.arange(32, dtype=np.uint8), (32, 1))

    identity = np.arange(256, dtype=np.uint8)
    painted = Domain([(Painted(), sample, (32, 32), identity)])  # type: ignore[list-item]
    flipped = set()
    for t in range(8):
        batch = TrainingStream(painted, None, Settings.model_validate({"crop": 16, "batch_size": 1}), 0)[t]
        grey = (batch.source.image[0, 0] * 58.395 + 123.675).round().long()
        assert torch.equal(grey, batch.source.label[0, 0])
        assert batch.target is None
        flipped.add(bool(batch.source.label[0, 0, 0, 0] > batch.source.label[0, 0, 0, -1]))
    assert flipped == {True, False}


def test_a_label_of_another_size_is_named(domains: tuple[Domain, Domain]) -> None:
    gta5, sample, size, table = domains[0].items[0]

    class Cut(type(gta5)):  # type: ignore[misc]
        def read_label(self, sample: Sample) -> np.ndarray:
            label: np.ndarray = super().read_label(sample)
            return label[:-2]

    cut = Domain([(Cut(gta5.root), sample, size, table)])
    with pytest.raises(DataError, match=rf"Label file {sample.label} has another size than its image"):
        TrainingStream(cut, None, Settings.model_validate({"crop": 16}), 0)[0]


def test_colours_are_jittered_at_the_size_of_the_file(domains: tuple[Domain, Domain]) -> None:
    jitter, whole = Jitter(), WholeImages()
    values = Settings.model_validate({"crop": 32, "batch_size": 1, "iterations": 1})
    made = TrainingStream(*domains, values, 3, sampling=Sampling(framing=whole, jitter=jitter))
    batch = made[0]
    dataset, sample, box, _ = next(i for i in domains[0].items if i[1].name == batch.source.names[0])
    drawn = draw_jitter(jitter, batch.draws.numpy("labelled crop 0"))
    image = dataset.read_image(sample)
    first, last = apply_jitter(image, drawn), apply_jitter(whole.image(image, box), drawn)
    expected = normalise(whole.image(first, box), made.normalisation)
    assert torch.equal(batch.source.image[0], expected)
    assert not torch.equal(expected, normalise(last, made.normalisation))
