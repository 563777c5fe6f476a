"""Rare class sampling and margins in the training stream, and the class statistics behind them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_domains import domains_in

from adaptbench.contracts.dataset import Dataset, Sample
from adaptbench.contracts.settings import Settings
from adaptbench.data import loading
from adaptbench.data.class_statistics import LabelledItem, class_counts
from adaptbench.data.framing import RescaledCrops
from adaptbench.data.pseudo_margins import Margins
from adaptbench.data.rare_class_sampling import count_classes
from adaptbench.data.sampling import RareClasses, Sampling
from adaptbench.data.stream import Domain, TrainingStream
from adaptbench.data.taxonomy import LabelMap
from adaptbench.data.transforms import normalise
from adaptbench.errors import DataError, RunStateError, UsageError
from adaptbench.storage import sealed_json

Item = tuple[Dataset, Sample, tuple[int, int], LabelMap | None]
RARE = RareClasses(min_pixels=5)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADAPTBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "class-statistics"


@pytest.fixture
def domains(official: Path) -> tuple[Domain, Domain]:
    return domains_in(official)


def stream(domains: tuple[Domain, Domain], sampling: Sampling, **settings: Any) -> TrainingStream:
    values = {"crop": 24, "batch_size": 2, "iterations": 12, **settings}
    return TrainingStream(*domains, Settings.model_validate(values), 3, sampling)


def labelled(domain: Domain) -> list[tuple[Dataset, Sample, LabelMap]]:
    return [(dataset, sample, table) for dataset, sample, _, table in domain.items if table is not None]


def test_counts_are_those_of_the_label_files(domains: tuple[Domain, Domain], cache: Path) -> None:
    items = labelled(domains[0])
    expected = [count_classes(table[dataset.read_label(sample)]) for dataset, sample, table in items]
    assert class_counts(items, cache) == expected
    assert class_counts(items, cache) == expected
    assert len(list(cache.iterdir())) == 1


def test_counts_follow_the_content(domains: tuple[Domain, Domain], cache: Path) -> None:
    items = labelled(domains[0])
    before = class_counts(items, cache)
    items[0][1].label.write_bytes(items[1][1].label.read_bytes())
    after = class_counts(items, cache)
    assert after[0] == after[1] == before[1]
    assert len(list(cache.iterdir())) == 2


def test_counts_are_taken_from_the_cache(domains: tuple[Domain, Domain], cache: Path) -> None:
    items = labelled(domains[0])
    class_counts(items, cache)
    (kept,) = cache.iterdir()
    sealed_json.write(kept, {"counts": [{"1": 7}] * len(items)})
    assert class_counts(items, cache) == [{1: 7}] * len(items)
    kept.write_text(kept.read_text().replace("7", "8", 1))
    with pytest.raises(RunStateError, match=r"was changed .* Delete it, and the labels are counted again"):
        class_counts(items, cache)


def test_several_processes_count_the_same(domains: tuple[Domain, Domain], cache: Path) -> None:
    items = labelled(domains[0])
    counts = class_counts(items, cache, over=partial(loading.each, workers=2))
    (kept,) = cache.iterdir()
    kept.unlink()
    assert counts == class_counts(items, cache)
    assert list(cache.iterdir()) == [kept]


def test_counts_of_files_that_change_meanwhile_are_not_kept(
    domains: tuple[Domain, Domain], cache: Path
) -> None:
    items = labelled(domains[0])

    def changing(items: Sequence[LabelledItem]) -> list[dict[int, int]]:
        items[0][1].label.write_bytes(items[1][1].label.read_bytes())
        return [{1: 7}] * len(items)

    assert class_counts(items, cache, changing) == [{1: 7}] * len(items)
    assert not cache.exists()


def test_rare_batches_depend_on_the_iteration_alone(domains: tuple[Domain, Domain]) -> None:
    first, second = stream(domains, Sampling(RARE)), stream(domains, Sampling(RARE))
    for t in (5, 0, 11):
        a, b = first[t], second[t]
        assert a.source.names == b.source.names
        assert torch.equal(a.source.image, b.source.image) and torch.equal(a.source.label, b.source.label)
        assert a.target is not None and b.target is not None and torch.equal(a.target.image, b.target.image)


def test_rare_classes_are_seen_more_often(domains: tuple[Domain, Domain]) -> None:
    drawn = stream(domains, Sampling(RARE), iterations=200)
    assert drawn.rare_classes is not None
    rarest = int(drawn.rare_classes.classes.classes[0])
    plain = stream(domains, Sampling(), iterations=200)
    shares = [np.mean([bool((s[t].source.label == rarest).any()) for t in range(40)]) for s in (drawn, plain)]
    assert shares[0] > shares[1]


def test_a_image_is_decoded_once_for_all_its_crops(
    domains: tuple[Domain, Domain], monkeypatch: pytest.MonkeyPatch
) -> None:
    demanding = stream(domains, Sampling(RareClasses(min_pixels=5, min_crop_ratio=1e6)), batch_size=1)
    _ = demanding.rare_classes
    read: list[Sample] = []
    kind = type(domains[0].items[0][0])
    original = kind.read_label
    monkeypatch.setattr(
        kind, "read_label", lambda self, sample: (read.append(sample), original(self, sample))[1]
    )
    _ = demanding[0]
    assert len(read) == 1


def test_no_class_to_sample_is_an_error(domains: tuple[Domain, Domain]) -> None:
    with pytest.raises(DataError, match="Lower rare_class_min_pixels"):
        _ = stream(domains, Sampling(RareClasses(min_pixels=10**9)))[0]


def test_margins_come_with_the_target(domains: tuple[Domain, Domain]) -> None:
    everything = Sampling(margins=Margins())
    bottom = Sampling(
        margins=Margins(bottom=domains[1].items[0][0].read_image(domains[1].items[0][1]).shape[0] // 2)
    )
    whole, half = stream(domains, everything, crop=32)[0].target, stream(domains, bottom, crop=32)[0].target
    assert whole is not None and whole.trusted is not None and half is not None and half.trusted is not None
    assert whole.trusted.shape == (2, 1, 32, 32) and whole.trusted.dtype == torch.uint8
    assert bool((whole.trusted == 1).all())
    assert bool((half.trusted[:, :, :15] == 1).all()) and not half.trusted[:, :, 17:].any()
    plain = stream(domains, Sampling(), crop=32)[0].target
    assert plain is not None and plain.trusted is None
    assert torch.equal(plain.image, whole.image)


def test_padding_is_marked(domains: tuple[Domain, Domain]) -> None:
    target = stream(domains, Sampling(margins=Margins()), crop=64)[0].target
    assert target is not None and target.trusted is not None
    assert bool((target.trusted[:, :, 32:] == 255).all()) and bool((target.trusted[:, :, :32] == 1).all())


def test_synchronized_parts_have_equal_places(domains: tuple[Domain, Domain]) -> None:
    margins = Margins(bottom=4, right=4)
    whole = stream(domains, Sampling(RARE, margins=margins), crop=32)
    parts = stream(domains, Sampling(RARE, margins=margins, part=12), crop=32)
    places = set()
    for t in range(4):
        full, part = whole[t], parts[t]
        assert full.target is not None and part.target is not None
        assert full.target.trusted is not None and part.target.trusted is not None
        assert (part.source.names, part.target.names) == (full.source.names, full.target.names)
        assert part.source.label.shape == part.target.trusted.shape == (2, 1, 12, 12)
        for k in range(2):
            (top, left) = place_of(part.source.image[k], full.source.image[k])
            rows, columns = slice(top, top + 12), slice(left, left + 12)
            assert torch.equal(part.source.label[k], full.source.label[k][:, rows, columns])
            assert torch.equal(part.target.image[k], full.target.image[k][:, rows, columns])
            assert torch.equal(part.target.trusted[k], full.target.trusted[k][:, rows, columns])
            places.add((top, left))
    assert len(places) > 4


def place_of(part: torch.Tensor, whole: torch.Tensor) -> tuple[int, int]:
    """Where a part was cut out, by trying every place."""
    side = part.shape[-1]
    free = [range(length - side + 1) for length in whole.shape[1:]]
    (place,) = [
        (top, left)
        for top in free[0]
        for left in free[1]
        if torch.equal(whole[:, top : top + side, left : left + side], part)
    ]
    return place


def test_without_a_target_the_source_is_cut_alone(domains: tuple[Domain, Domain]) -> None:
    settings = Settings.model_validate({"crop": 24, "batch_size": 2, "iterations": 1})
    batch = TrainingStream(domains[0], None, settings, 3, Sampling(part=24))[0]
    plain = TrainingStream(domains[0], None, settings, 3, Sampling())[0]
    assert batch.target is None
    assert torch.equal(batch.source.image, plain.source.image)


def test_a_part_larger_than_the_crop_is_an_error(domains: tuple[Domain, Domain]) -> None:
    with pytest.raises(UsageError, match=r"part of 25 pixels does not fit into a crop of 24x24"):
        _ = stream(domains, Sampling(part=25))[0]


def test_images_of_random_sizes_are_padded_with_black_and_margins_may_stay(
    domains: tuple[Domain, Domain],
) -> None:
    """Half the size fits into no crop: what is seen of the image, of black and of the mask is told apart."""
    framing, margins = RescaledCrops(scales=(0.5, 0.5)), Margins(left=8)
    dataset, sample, box, _ = domains[1].items[0]
    image = dataset.read_image(sample)
    width, height = framing.scaled((image.shape[1], image.shape[0]), box, 0.5)
    side = 2 * max(width, height)
    batches = {
        mirrored: stream(
            domains, Sampling(framing=framing, margins=margins, margins_mirrored=mirrored), crop=side
        )
        for mirrored in (True, False)
    }
    black = normalise(np.zeros((1, 1, 3), np.uint8))[:, 0, 0]
    left = set()
    for index in range(12):
        moved, stays = (batches[mirrored][index].target for mirrored in (True, False))
        assert (
            moved is not None
            and stays is not None
            and stays.trusted is not None
            and moved.trusted is not None
        )
        assert torch.equal(moved.image, stays.image)
        assert stays.image.shape == (2, 3, side, side)
        assert torch.equal(stays.image[0, :, height, 0], black)
        assert torch.equal(stays.image[0, :, 0, width], black)
        assert (stays.trusted[:, 0, :height, 0] == 0).all(), "the left border, mirrored or not"
        assert (stays.trusted[:, 0, height:] == 255).all()
        left |= {int(mask[0, 0, 0]) for mask in moved.trusted}
    assert left == {0, 1}, "a border moves with its image where it is to"
