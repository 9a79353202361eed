"""Numbers and foreign text on the command line."""

import pytest

from transfer.cli.display.text import align, count, display, format_duration, format_rate, format_size, parse_key
from transfer.model.size import parse_size


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_540_000, "9.54 MB"),
        (9_996_000, "10.0 MB"),
        (12_345_678, "12.3 MB"),
        (99_960_000, "100 MB"),
        (128_000_000, "128 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.00 GB"),
        (4_812_000_000, "4.81 GB"),
        (2_000_000_000_000_000_000, "2000 PB"),
    ],
)
def test_a_size_has_three_digits_and_a_decimal_unit(size: int, shown: str) -> None:
    assert format_size(size) == shown


@pytest.mark.parametrize(("rate", "shown"), [(None, "-"), (0.0, "0 B/s"), (118_000_000.0, "118 MB/s")])
def test_a_rate_is_a_size_a_second(rate: float | None, shown: str) -> None:
    assert format_rate(rate) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-:--"), (0.2, "0:00"), (9.0, "0:09"), (59.6, "1:00"), (545, "9:05"), (3723, "1:02:03")],
)
def test_a_duration_has_hours_only_when_it_takes_them(seconds: float | None, shown: str) -> None:
    assert format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "noun", "shown"),
    [(0, "blob", "0 blobs"), (1, "blob", "1 blob"), (1, "retry", "1 retry"), (2, "retry", "2 retries")],
)
def test_a_noun_follows_its_number(number: int, noun: str, shown: str) -> None:
    assert count(number, noun) == shown


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("67108864", 67_108_864),
        ("64MiB", 67_108_864),
        ("64M", 67_108_864),
        ("64 mib", 67_108_864),
        ("64MB", 64_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2g", 2_147_483_648),
        ("10kB", 10_000),
        ("1B", 1),
    ],
)
def test_a_size_is_read_with_any_usual_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "64 MiBs", "6 4M", "1e9", "0", "0.0001", "64XB", "٣MiB", "nan"])
def test_what_is_not_a_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size|less than one byte") as refused:
        parse_size(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode", "plain ünïcode"),
        ("\x1b[2Jgone", "[2Jgone"),
        ("tag\rtransfer: done", "tag transfer: done"),
        ("two\nlines\n", "two lines"),
        ("bell\x07 and c1\x9b31m", "bell and c131m"),
        ("evil\u202eexe.tar", "evilexe.tar"),
    ],
)
def test_what_is_displayed_holds_no_control_character(text: str, shown: str) -> None:
    assert display(text) == shown


def test_an_access_key_may_have_colons_in_its_secret() -> None:
    assert parse_key("AKIA:se:cret") == ("AKIA", "se:cret")


@pytest.mark.parametrize("text", ["hunter2", "hunter2:", ":hunter2", ""])
def test_half_an_access_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="ID:SECRET") as refused:
        parse_key(text)
    assert "hunter2" not in str(refused.value)


def test_columns_are_aligned_and_an_empty_cell_is_a_dash() -> None:
    assert align([("sha256:1", "", "1MB"), ("sha256:22", "v1,v2", "")]) == [
        "sha256:1   -      1MB",
        "sha256:22  v1,v2  -",
    ]


def test_no_rows_are_no_lines() -> None:
    assert align([]) == []
