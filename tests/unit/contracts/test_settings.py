"""Settings are scaled by the profile, validated, and never scaled when the user states them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import Field

from adaptbench.contracts.profiles import (
    PROFILES,
    BlurWidth,
    Channels,
    Decay,
    ImageCount,
    Iterations,
    Length,
    PixelCount,
    SideRate,
    profile,
)
from adaptbench.contracts.settings import Resolved, Settings, check_key, parse_value, resolve
from adaptbench.errors import UsageError

SAMPLES = PROFILES["mini"].samples or 0
BUDGET = SAMPLES // 2


def share(iterations: int) -> int:
    """A number of iterations out of 40,000 of two images, in proportion to the budget of mini."""
    return int(iterations * BUDGET / 40_000 + 0.5)


class Example(Settings):
    patch: Length = Field(64, description="side of a patch")
    rare_pixels: PixelCount = Field(3000, description="pixels of a rare class")
    width: Channels = Field(64, description="channels of a discriminator")
    start: Iterations = Field(10_000, description="when it starts")
    window: Length | None = Field(None, description="may be absent")
    span: Iterations = Field(4_000, description="in batches of the main training")
    first_span: Iterations = Field(10_000, description="in batches of another size")
    first_batch_size: ImageCount = Field(8, description="that size")
    share: Decay = Field(0.999, description="of a slow average")
    quick_share: Decay | None = Field(0.99, description="of an average over less than an iteration of mini")
    whole_share: Decay = Field(1.0, description="nothing moves")
    rate: SideRate = Field(1e-4, description="of a discriminator")
    blurs: tuple[BlurWidth, BlurWidth] = Field((0.5, 2.0), description="narrowest and widest")
    sizes: tuple[int, ...] = Field((1, 2), description="a tuple")
    mode: Literal["soft", "hard"] = Field("soft", description="a choice")
    wide: bool = Field(False, description="a switch")


def resolved(
    name: str = "mini",
    published: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] = {},
    **overrides: Any,
) -> Resolved[Example]:
    return resolve(Example, profile(name), published, recipe, "deeplabv2-mini", overrides)


def test_mini_is_a_quarter_of_the_size() -> None:
    settings = resolved().settings
    assert (settings.crop, settings.patch, settings.rare_pixels, settings.width) == (128, 16, 188, 16)
    assert (settings.iterations, settings.warmup, settings.start) == (BUDGET, share(1500), share(10_000))
    assert (settings.batch_size, settings.learning_rate, settings.window) == (2, 6e-5, None)


def test_small_is_half_of_the_size_and_sees_as_many_images_in_every_method() -> None:
    settings = resolved("small").settings
    assert (settings.crop, settings.patch, settings.rare_pixels, settings.width) == (256, 32, 750, 32)
    assert (settings.iterations, settings.batch_size, settings.window) == (600, 2, None)


def test_what_may_be_absent_is_scaled_where_it_is_there() -> None:
    settings = resolved(published={"window": 100}).settings
    assert settings.window == 25


def test_paper_is_the_full_size() -> None:
    assert resolved("paper").settings == Example(network="deeplabv2-mini")  # type: ignore[call-arg]


def test_there_is_always_a_channel() -> None:
    assert [PROFILES["mini"].channels(number) for number in (1, 2, 6, 64)] == [1, 1, 2, 16]
    assert PROFILES["paper"].channels(3) == 3


@pytest.mark.parametrize("pixels", range(1, 50))
def test_lengths_round_half_up(pixels: int) -> None:
    mini = PROFILES["mini"]
    assert mini.length(pixels) == (pixels + 2) // 4
    assert mini.pixel_count(pixels) == (pixels + 8) // 16


def test_mini_takes_two_images_at_most() -> None:
    small, large = {"batch_size": 1}, {"batch_size": 8}
    assert [resolved(published=p).settings.batch_size for p in (small, {}, large)] == [1, 2, 2]
    assert resolved("paper", published=large).settings.batch_size == 8


@pytest.mark.parametrize(("batch", "images"), [(1, 1), (2, 2), (8, 2)])
def test_a_cap_on_the_batch_takes_no_images_away(batch: int, images: int) -> None:
    settings = resolved(published={"batch_size": batch}).settings
    assert settings.iterations == SAMPLES // images
    assert settings.span == SAMPLES // 10 // images  # type: ignore[attr-defined]


def test_iterations_are_counted_in_the_batches_with_their_prefix() -> None:
    settings = resolved().settings
    published = 10_000 * 8 / (40_000 * 2)
    assert settings.first_batch_size == 2  # type: ignore[attr-defined]
    assert settings.first_span == SAMPLES * published / 2  # type: ignore[attr-defined]


def test_averages_span_as_large_a_part_of_the_training_as_published() -> None:
    settings = resolved().settings
    assert 1 / (1 - settings.share) / BUDGET == pytest.approx(1000 / 40_000)  # type: ignore[attr-defined]
    assert settings.quick_share == 0  # type: ignore[attr-defined]  # 100 of 40,000 are less than one of mini
    assert settings.whole_share == 1  # type: ignore[attr-defined]


def test_rates_beside_the_network_grow_with_the_root_of_what_is_left_out() -> None:
    assert resolved().settings.rate == pytest.approx(1e-4 * (40_000 / BUDGET) ** 0.5)  # type: ignore[attr-defined]


def test_blurs_shrink_with_the_images() -> None:
    assert resolved().settings.blurs == (0.125, 0.5)  # type: ignore[attr-defined]


def test_no_iterations_stay_none() -> None:
    settings = resolved(published={"iterations": 0}).settings
    assert (settings.iterations, settings.share) == (0, 0.999)  # type: ignore[attr-defined]


def test_a_batch_of_the_users_is_taken_as_it_is() -> None:
    assert resolved(batch_size=8).settings.batch_size == 8


def test_what_the_user_states_is_not_scaled() -> None:
    settings = resolved(crop=96, iterations=40, rare_pixels=5, window=32).settings
    assert (settings.crop, settings.iterations, settings.rare_pixels, settings.window) == (96, 40, 5, 32)  # type: ignore[attr-defined]
    assert settings.warmup == share(1500)


def test_published_settings_take_the_place_of_the_recipe() -> None:
    recipe = {"learning_rate": 1e-3, "head_lr_factor": 1.0}
    transferred, published = resolved(recipe=recipe), resolved(published={"crop": 640}, recipe=recipe)
    assert (transferred.origin, transferred.settings.learning_rate) == ("transferred", 1e-3)
    assert (published.origin, published.settings.learning_rate) == ("published", 6e-5)
    assert published.settings.crop == 160
    assert resolved(recipe=recipe, learning_rate=0.5).settings.learning_rate == 0.5


def test_a_published_total_scales_what_is_part_of_it() -> None:
    settings = resolved(published={"iterations": 250_000, "warmup": 2500}).settings
    assert (settings.iterations, settings.warmup) == (BUDGET, int(BUDGET / 100 + 0.5))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("crop", "wide", "crop (side of the square training crop in pixels) should be a valid integer"),
        ("crop", 64.5, "should be a valid integer"),
        ("crop", 4, "should be greater than or equal to 8"),
        ("batch_size", True, "should be a valid integer"),
        ("learning_rate", "fast", "should be a valid number"),
        ("learning_rate", float("inf"), "should be a finite number"),
        ("wide", 1, "should be a valid boolean"),
        ("mode", "medium", "should be 'soft' or 'hard'"),
        ("optimizer", "adam", "should be 'adamw' or 'sgd'"),
        ("sizes", 3, "should be a valid array"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_is_for(key: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        resolved(**{key: value})
    assert str(error.value).startswith(f"--set {key}={value!r}: {key}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_published_settings_are_not_blamed_on_the_user() -> None:
    with pytest.raises(UsageError, match=r"published settings corp=512: corp Extra inputs"):
        resolved(published={"corp": 512})


def test_values_of_the_right_kind_are_taken() -> None:
    settings = resolved(learning_rate=1, sizes=[3, 4], wide=True, mode="hard").settings
    assert settings == resolved(learning_rate=1.0, sizes=(3, 4), wide=True, mode="hard").settings


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3e-4", 3e-4), ("true", True), ("True", True), ("null", None), ("None", None), ("[1, 2]", [1, 2]),
     ("timm:resnet18", "timm:resnet18"), ("", ""), ("a=b", "a=b"), ('"3"', "3")],
)  # fmt: skip
def test_values_are_json_or_words(text: str, value: Any) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_an_unknown_key() -> None:
    check_key(Example, "patch", "example")
    with pytest.raises(UsageError, match=r"Unknown setting of example 'pach'. Did you mean 'patch'"):
        check_key(Example, "pach", "example")
