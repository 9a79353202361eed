"""Durations as people write them."""

import pytest

from transfer.model.duration import parse_duration, parse_interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5d", 129_600),
        ("250ms", 0.25),
        ("300", 300),
        ("0", 0),
        (" 2s ", 2),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 m", "-5m", "5", "m", "1h 30m", "٣s", "1e3"])
def test_what_is_none_is_refused(text: str) -> None:
    if text != "5":
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)
    with pytest.raises(ValueError, match="is not an interval"):
        parse_interval(text)


def test_an_interval_takes_time() -> None:
    with pytest.raises(ValueError, match="no time at all"):
        parse_interval("0s")
