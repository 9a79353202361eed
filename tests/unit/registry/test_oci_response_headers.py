"""What the headers of a registry mean, above all those that lie."""

import pytest

from transfer.errors import RegistryError
from transfer.http.messages import (
    held_bytes,
    is_exact_range,
    length_of,
    next_link,
    origin_of,
    resolve_url,
    smallest_chunk,
    with_query,
)

BASE = "https://r.example:5000/v2/app/blobs/uploads/"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://r.example:5000/v2/app/blobs/uploads/1?_state=a%2Fb", f"{BASE}1?_state=a%2Fb"),
        ("/v2/app/blobs/uploads/1", f"{BASE}1"),
        ("1", f"{BASE}1"),
        ("?_state=x", f"{BASE}?_state=x"),
        ("//other.example/u", "https://other.example/u"),
        ("https://storage.example/u#part", "https://storage.example/u"),
        ("https://r.example/u", "https://r.example/u"),
    ],
)
def test_a_location_is_resolved_by_the_rules_of_urls(location: str, url: str) -> None:
    assert resolve_url(BASE, location, what="POST", status=202) == url


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://r.example:5000/u",
        "//user@evil.example/u",
        "https://user:password@r.example/u",
        "ftp://r.example/u",
        "javascript:alert(1)",
        "https://r.example:0/u",
        "https://r.example:99999/u",
        "https://[::1/u",
        "/u\r\nX: y",
        "/u v",
        "/u\\v",
        "/\u00fc",
        "/" + "a" * 20_000,
    ],
)
def test_a_location_that_leads_astray_is_refused_in_one_line(location: str) -> None:
    with pytest.raises(RegistryError, match=r"^POST upload: the registry's Location ") as caught:
        resolve_url(BASE, location, what="POST upload", status=202)
    assert (caught.value.status, "\n" in str(caught.value)) == (202, False)


def test_a_plain_registry_may_lead_to_tls_and_to_plain() -> None:
    for location in ("http://s.example/u", "https://s.example/u"):
        assert resolve_url("http://r.example/v2/", location, what="x", status=307) == location


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://r.example/a", "https://R.EXAMPLE:443/b", True),
        ("http://r.example/a", "http://r.example:80/b", True),
        ("https://r.example", "https://r.example:8443", False),
        ("https://r.example", "http://r.example", False),
        ("https://r.example", "https://r.example.evil", False),
        ("https://[::1]:5000", "https://[::1]:5000/x", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin_of(one) == origin_of(other)) is same


@pytest.mark.parametrize(
    ("url", "added"),
    [
        ("https://r/u", "https://r/u?digest=sha256:a"),
        ("https://r/u?_state=a%2Bb==", "https://r/u?_state=a%2Bb==&digest=sha256:a"),
    ],
)
def test_a_query_keeps_the_registrys_state_as_it_is(url: str, added: str) -> None:
    assert with_query(url, digest="sha256:a") == added


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("0-0", 0),
        ("0-9", 10),
        ("bytes=0-5", 6),
        (" 0-5 ", 6),
        ("0-99", 100),
        ("0-100", None),
        ("0-" + "9" * 30, None),
        ("5-9", None),
        ("0--1", None),
        ("0-", None),
        ("9-0", None),
        ("0-5,7-9", None),
        ("", None),
        ("all of it", None),
        ("0-\u0665", None),
    ],
)
def test_a_session_holds_what_its_range_says_if_that_can_be(value: str, held: int | None) -> None:
    assert held_bytes({"range": value}, 100) == held


def test_a_session_without_a_range_tells_nothing() -> None:
    assert held_bytes({}, 100) is None


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("bytes 5-9/100", True),
        ("bytes 5-9/*", True),
        ("bytes 5-9/99", False),
        ("bytes 4-9/100", False),
        ("bytes 5-10/100", False),
        ("bytes 5-8/100", False),
        ("bytes */100", False),
        ("5-9/100", False),
        ("bytes 5-9/100, bytes 10-11/100", False),
        ("bytes 5-9", False),
        ("", False),
    ],
)
def test_only_the_exact_range_counts(value: str, exact: bool) -> None:
    assert is_exact_range({"content-range": value}, 5, 10, 100) is exact


@pytest.mark.parametrize(("value", "length"), [("5", 5), ("-5", None), ("5, 5", None), ("1e3", None), ("", None)])
def test_a_length_is_a_number(value: str, length: int | None) -> None:
    assert length_of({"content-length": value}) == length


@pytest.mark.parametrize(("value", "least"), [("5242880", 5242880), ("-1", 0), ("x", 0), ("9" * 20, 0)])
def test_a_smallest_chunk_is_a_number(value: str, least: int) -> None:
    assert smallest_chunk({"oci-chunk-min-length": value}) == least


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ('</v2/app/tags/list?last=b&n=2>; rel="next"', "/v2/app/tags/list?last=b&n=2"),
        ("<https://r.example/x>; rel=next", "https://r.example/x"),
        ('<a>; rel="prev", <b>; rel="last next"', "b"),
        ('<a>; title="x"; rel="next"', "a"),
        ('<a>; rel="nextish"', None),
        ('<a>; rel="prev"', None),
        ("a; rel=next", None),
        ("", None),
        ("<" * 100_000, None),
        ("<a>;" * 50_000, None),
    ],
)
def test_the_next_page_is_the_link_that_says_so(value: str, link: str | None) -> None:
    assert next_link({"link": value}) == link
