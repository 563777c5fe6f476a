"""The order of a stream."""

from __future__ import annotations

from adaptbench.test_time.stream_order import CONDITIONS, stream_order


def test_a_published_stream_has_16000_images() -> None:
    places = list(stream_order(dict.fromkeys(CONDITIONS, 400)))
    assert len(places) == 16000
    assert [place for place in places if place.position == 0][4] == (1, "fog", 0)
