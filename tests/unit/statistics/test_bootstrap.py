"""Resampling against naive loops, closed forms and the coverage it promises."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import ttest_ind

from adaptbench.evaluation import metrics
from adaptbench.records.average import Average, miou_and_classes, miou_only
from adaptbench.statistics.bootstrap import Replicates, bootstrap
from adaptbench.statistics.comparison import Difference, differences, pairwise, welch
from adaptbench.statistics.resampling import image_weights, membership, unit_weights
from adaptbench.statistics.tallies import resampled, tally

Floats = npt.NDArray[np.float64]
PIXELS = 1_000_000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def confusions(seeds: int = 3, images: int = 8, classes: int = 4) -> npt.NDArray[np.int64]:
    """The last class is rare, so that resamples without it occur."""
    counts = rng().integers(0, 1000, (seeds, images, classes, classes))
    counts[:, 1:, -1] = 0
    counts[:, 1:, :, -1] = 0
    return counts


def shares(percent: Floats) -> Floats:
    """Tallies of one class whose IoU on any images is the mean of ``percent``. Shape: ``(S, N)`` in."""
    hits = np.round(percent / 100 * PIXELS)
    return np.stack([hits, np.full_like(hits, PIXELS), np.full_like(hits, PIXELS)], axis=-1)[..., None]


def only(first: Replicates, second: Replicates) -> Difference:
    (difference,) = differences(first, second)
    assert difference is not None
    return difference


# ------------------------------------------------------------------- resampling


@pytest.mark.parametrize("average", [Average(), Average(absent="skip"), Average((0, 3), "zero")], ids=str)
def test_scores_of_resamples_are_those_of_repeated_images(average: Average) -> None:
    counts = confusions()
    weights = unit_weights(8, 50, rng(1))
    found = miou_and_classes(resampled(weights, np.stack([tally(seed) for seed in counts])), average)
    missing = 0
    for b, times in enumerate(weights.astype(int)):
        for s in range(3):
            matrix = np.repeat(counts[s], times, axis=0).sum(axis=0)
            np.testing.assert_allclose(found[b, s, 1:], 100 * average.iou_of(matrix), rtol=1e-12)
            assert found[b, s, 0] == pytest.approx(100 * average.miou(matrix), rel=1e-12)
            missing += bool(np.isnan(found[b, s]).any())
    assert 0 < missing < 150


@pytest.mark.parametrize("units", [2, 3, 5, 40])
def test_the_variance_over_resamples_is_that_of_a_mean(units: int) -> None:
    values = rng(2).normal(0, 3, units)
    weights = unit_weights(units, 40_000, rng(3))
    assert (weights.sum(axis=1) == units - 1).all()
    resampled = weights @ values / (units - 1)
    assert resampled.mean() == pytest.approx(values.mean(), abs=0.06)
    assert resampled.var() == pytest.approx(values.var(ddof=1) / units, rel=0.05)


def test_clusters_come_and_go_whole() -> None:
    clusters = ["a"] * 3 + ["b"] * 5 + ["c"]
    members = membership(clusters)
    drawn = unit_weights(3, 500, rng())
    weights = image_weights(drawn, members, rng(1))
    for cluster, size in ((0, 3), (1, 5), (2, 1)):
        images = weights[:, members == cluster]
        np.testing.assert_array_equal(images.sum(axis=1), size * drawn[:, cluster])
    assert weights[:, 0].std() > 0.5


def test_images_of_a_single_cluster_are_drawn_one_by_one() -> None:
    assert membership(["only"] * 4).tolist() == [0, 1, 2, 3]


def test_what_others_are_there_does_not_matter() -> None:
    tallies = np.stack([tally(seed) for seed in confusions()])
    clusters = list("aabbccdd")
    alone = bootstrap({"x": tallies}, clusters, quantities=miou_only, resamples=700)["x"]
    beside = bootstrap({"w": tallies[:2], "x": tallies}, clusters, quantities=miou_only, resamples=700)["x"]
    np.testing.assert_array_equal(alone.joint, beside.joint)
    assert not np.array_equal(
        alone.joint,
        bootstrap({"x": tallies}, clusters, quantities=miou_only, resamples=700, seed=1)["x"].joint,
    )


def test_the_measured_score_is_that_of_the_metrics() -> None:
    counts = confusions()
    tallies = np.stack([tally(seed) for seed in counts])
    found = bootstrap({"x": tallies}, list("aabbccdd"), miou_and_classes, resamples=10)["x"]
    assert found.by_seed[:, 0] == pytest.approx([100 * metrics.miou(seed.sum(axis=0)) for seed in counts])
    np.testing.assert_allclose(found.by_seed[0, 1:], 100 * metrics.iou(counts[0].sum(axis=0)))


# ------------------------------------------------------------------- closed forms


def test_seeds_alone_are_welchs_t_test() -> None:
    """Where all images score alike, only seeds are left, and the answer is known."""
    first, second = rng(4).normal(50, 2, 6), rng(5).normal(52, 1, 5)
    sides = {"a": shares(np.tile(first[:, None], 9)), "b": shares(np.tile(second[:, None], 9))}
    found = bootstrap(sides, [str(i) for i in range(9)], quantities=miou_only, resamples=40_000)
    difference = only(found["a"], found["b"])
    welch = ttest_ind(first, second, equal_var=False)
    assert difference.mean == pytest.approx(first.mean() - second.mean(), abs=1e-3)
    assert difference.df == pytest.approx(welch.df, rel=1e-3)
    assert difference.error == pytest.approx(
        (first.var(ddof=1) / 6 + second.var(ddof=1) / 5) ** 0.5, rel=0.02
    )
    assert difference.interval() == pytest.approx(welch.confidence_interval(), abs=0.1)


def test_welch_is_that_of_scipy() -> None:
    first, second = rng(4).normal(50, 2, 6), rng(5).normal(52, 1, 5)
    found, expected = welch(first, second), ttest_ind(first, second, equal_var=False)
    assert found is not None
    assert (found.df, found.p) == pytest.approx((expected.df, expected.pvalue))
    assert found.interval() == pytest.approx(expected.confidence_interval())
    assert welch(first, second[:1]) is None


def test_one_seed_each_is_the_paired_test_over_images_and_holds_for_the_checkpoints() -> None:
    gap = rng(6).normal(1, 3, 30)
    images = rng(7).normal(50, 10, 30)
    sides = {"a": shares((images + gap)[None]), "b": shares(images[None])}
    found = bootstrap(sides, [str(i) for i in range(30)], quantities=miou_only, resamples=20_000)
    difference = only(found["a"], found["b"])
    assert not difference.about_methods
    assert difference.df == 29
    assert difference.error == pytest.approx(gap.std(ddof=1) / 30**0.5, rel=0.03)


def test_few_clusters_that_differ_leave_few_degrees_of_freedom() -> None:
    city = np.repeat([0.0, 6.0, -6.0], 20)
    noise = rng(8).normal(0, 0.5, (10, 60))
    sides = {"a": shares(50 + city + noise[:5]), "b": shares(50 + noise[5:])}
    apart = bootstrap(sides, [str(i) for i in range(60)], quantities=miou_only, resamples=4000)
    together = bootstrap(sides, [f"city {i // 20}" for i in range(60)], quantities=miou_only, resamples=4000)
    assert only(apart["a"], apart["b"]).df > 50
    difference = only(together["a"], together["b"])
    assert difference.df == pytest.approx(2, abs=0.1)
    assert difference.error == pytest.approx(6 / 3**0.5, rel=0.05)


def test_all_pairs_at_once_are_the_pairs_one_by_one() -> None:
    noise = rng(9).normal(50, 2, (4, 5, 12))
    found = bootstrap(
        {name: shares(noise[i]) for i, name in enumerate("abcd")},
        list("aabbccddeeff"),
        quantities=miou_only,
        resamples=600,
    )
    table = pairwise(list(found.values()))
    for i, first in enumerate("abcd"):
        for j, second in enumerate("abcd"):
            if i != j:
                one = only(found[first], found[second])
                assert (table[i][j].mean, table[i][j].error, table[i][j].df) == pytest.approx(
                    (one.mean, one.error, one.df), rel=1e-6
                )


def test_a_class_that_one_side_lacks_has_no_difference() -> None:
    counts = confusions(1)
    without = counts.copy()
    without[:, 0, -1] = without[:, 0, :, -1] = 0
    sides = {"a": np.stack([tally(counts[0])]), "b": np.stack([tally(without[0])])}
    found = bootstrap(sides, [str(i) for i in range(8)], miou_and_classes, resamples=50)
    result = differences(found["a"], found["b"])
    assert [one is None for one in result] == [False, False, False, False, True]


# ------------------------------------------------------------------- promises


def covered(seed_sd: float, city_sd: float, cities: int, studies: int) -> tuple[float, float]:
    """How often the interval, and that of the images alone, holds the true difference (0) of two methods."""
    draws = rng(10)
    ours = shortcut = 0
    for number in range(studies):
        city = np.repeat(draws.normal(0, city_sd, (2, 1, cities)), 6, axis=2)
        scores = 50 + city + draws.normal(0, seed_sd, (2, 5, 1)) + draws.normal(0, 2, (2, 5, 6 * cities))
        found = bootstrap(
            {name: shares(scores[i]) for i, name in enumerate("ab")},
            [str(i // 6) for i in range(6 * cities)],
            quantities=miou_only,
            resamples=300,
            seed=number,
        )
        low, high = only(found["a"], found["b"]).interval()
        ours += low <= 0 <= high
        of_images = found["a"].images - found["b"].images
        shortcut += abs(found["a"].mean[0] - found["b"].mean[0]) < 1.96 * of_images.std()
    return ours / studies, shortcut / studies


@pytest.mark.parametrize(
    ("seed_sd", "city_sd", "cities"), [(1.0, 0.0, 3), (1.0, 1.0, 3), (0.3, 2.0, 4), (1.0, 1.0, 12)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(seed_sd: float, city_sd: float, cities: int) -> None:
    ours, _ = covered(seed_sd, city_sd, cities, 400)
    assert ours > 0.93  # two standard errors below 0.95; more is prudence


def test_resampling_images_alone_does_not() -> None:
    _, shortcut = covered(1.0, 0.0, 12, 200)
    assert shortcut < 0.75
