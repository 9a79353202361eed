"""The pure parts of `/v2/` in the embedded registry: routes, chunks, credentials, tokens, and older databases."""

import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.server_calls import Calls, Refused
from tests.support.v2_calls import V2
from transfer.errors import InvalidConfig
from transfer.server import Server
from transfer.server.distribution.auth import EXPIRED, GOOD, REFUSED, judge
from transfer.server.distribution.chunks import PIECE, Span, pieces, read_span
from transfer.server.distribution.ecr import elsewhere
from transfer.server.distribution.errors import Refusal
from transfer.server.distribution.routes import Route, find_route
from transfer.server.settings import MIB, Settings
from transfer.server.tokens import expiry, make_password

SETTINGS = Settings(
    account="123456789012",
    region="us-east-1",
    access_key="me",
    secret_key="se:cret",
    auth=True,
    part_size=10 * MIB,
    url_ttl=3600,
    upload_ttl=86400,
    token_ttl=43200,
    dialect="oci",
    create_on_push=True,
    blob_mounting=False,
)


@pytest.mark.parametrize(
    ("method", "path", "query", "route"),
    [
        ("GET", "/v2/", (), Route("GetBase")),
        ("GET", "/v2", (), Route("GetBase")),
        ("GET", "/v2/a/tags/list", (), Route("ListTags", "a")),
        ("GET", "/v2/a/b/c/manifests/v1", (), Route("GetManifest", "a/b/c", "v1")),
        ("HEAD", "/v2/a/manifests/sha256:0", (), Route("HeadManifest", "a", "sha256:0")),
        ("DELETE", "/v2/a/manifests/sha256:0", (), Route("DeleteManifest", "a", "sha256:0")),
        ("DELETE", "/v2/a/manifests/v1", (), Route("DeleteTag", "a", "v1")),
        ("POST", "/v2/a/blobs/uploads/", (), Route("PostUpload", "a")),
        ("POST", "/v2/a/blobs/uploads", (), Route("PostUpload", "a")),
        ("POST", "/v2/a/blobs/uploads/", ("digest",), Route("PostBlob", "a")),
        ("POST", "/v2/a/blobs/uploads/", ("mount", "from", "digest"), Route("MountBlob", "a")),
        ("PATCH", "/v2/a/blobs/uploads/u-1", (), Route("PatchUpload", "a", "u-1")),
        ("GET", "/v2/blobs/uploads/blobs/sha256:0", (), Route("GetBlob", "blobs/uploads", "sha256:0")),
        ("GET", "/v2/manifests/tags/list/manifests/list", (), Route("GetManifest", "manifests/tags/list", "list")),
        ("GET", "/v2/a/referrers/sha256:0", (), Route("ListReferrers", "a", "sha256:0")),
    ],
)
def test_a_path_leads_to_its_operation(method: str, path: str, query: Sequence[str], route: Route) -> None:
    assert find_route(method, path, query) == route


@pytest.mark.parametrize("name", ["UP", "a//b", "/a", "-a", "a-", "a..b", "a___b", "a/../b", "ä", "a\n", "a" * 257])
def test_a_name_outside_of_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        find_route("GET", f"/v2/{name}/tags/list", ())
    assert (caught.value.status, caught.value.code) == (400, "NAME_INVALID")


@pytest.mark.parametrize(
    ("header", "length", "span"),
    [(None, 5, None), ("0-4", 5, Span(0, 4)), ("5-5", 1, Span(5, 5)), (" 0-4 ", None, Span(0, 4))],
)
def test_a_chunk_says_which_bytes_it_holds(header: str | None, length: int | None, span: Span | None) -> None:
    assert read_span(header, length) == span


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "BLOB_UPLOAD_INVALID"),
        ("4-0", "BLOB_UPLOAD_INVALID"),
        ("0-", "BLOB_UPLOAD_INVALID"),
        ("-1-4", "BLOB_UPLOAD_INVALID"),
        ("bytes=0-4", "BLOB_UPLOAD_INVALID"),
        (f"0-{'9' * 20}", "BLOB_UPLOAD_INVALID"),
        ("\u0660-\u0664", "BLOB_UPLOAD_INVALID"),
        ("0-5", "SIZE_INVALID"),
    ],
)
def test_a_chunk_that_says_something_else_is_refused(header: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_span(header, 5)
    assert (caught.value.status, caught.value.code) == (400, code)


async def arriving(*sizes: int, broken: bool = False) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number]) * size
    if broken:
        raise ConnectionResetError


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((), []), ((5,), [5]), ((PIECE,), [PIECE]), ((PIECE // 2,) * 5, [PIECE, PIECE, PIECE // 2])],
)
async def test_pieces_are_filled_before_they_are_passed_on(sizes: tuple[int, ...], expected: list[int]) -> None:
    assert [len(piece) async for piece in pieces(arriving(*sizes))] == expected


async def test_what_came_before_a_break_is_a_piece_too() -> None:
    arrived = pieces(arriving(PIECE, 3, 2, broken=True))
    assert [len(await anext(arrived)), len(await anext(arrived))] == [PIECE, 5]
    with pytest.raises(ConnectionResetError):
        await anext(arrived)


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        (basic("me:se:cret"), GOOD),
        (basic("me:se:cret").replace("Basic", "bAsIc"), GOOD),
        (basic(f"AWS:{make_password('se:cret', 1001.0)}"), GOOD),
        (basic(f"AWS:{make_password('se:cret', 1000.0)}"), EXPIRED),
        (basic(f"AWS:{make_password('another', 1001.0)}"), REFUSED),
        (basic(f"me:{make_password('se:cret', 1001.0)}"), REFUSED),
        (basic("me:se"), REFUSED),
        (basic("me"), REFUSED),
        (basic("AWS:"), REFUSED),
        (basic("AWS:ä"), REFUSED),
        ("Basic !", REFUSED),
        ("Basic /w==", REFUSED),
        ("Basic", REFUSED),
        ("Bearer x", REFUSED),
        ("", REFUSED),
        (None, REFUSED),
    ],
)
def test_credentials_are_judged(header: str | None, verdict: str) -> None:
    assert judge(header, SETTINGS, now=1000.0) == verdict


def test_a_token_tells_its_end_and_no_two_are_equal() -> None:
    passwords = {make_password("secret", 1234.5) for _ in range(3)}
    assert len(passwords) == 3
    assert {expiry("secret", password) for password in passwords} == {1234.5}
    assert all("secret" not in password for password in passwords)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1:5000", "localhost:5000"), ("localhost", "127.0.0.1"), ("[::1]:5000", None), ("registry.test", None)],
)
def test_the_loopback_address_has_another_name(host: str, expected: str | None) -> None:
    assert elsewhere(host) == expected


@pytest.mark.parametrize("setting", [{"dialect": "docker"}, {"token_ttl": 0.0}, {"token_ttl": 43_201.0}])
def test_a_setting_outside_of_its_range_is_refused(setting: dict[str, float | str]) -> None:
    with pytest.raises(InvalidConfig, match="expected"):
        Server(**setting)  # type: ignore[arg-type] # a table of settings


_SINCE = {
    1: "DROP INDEX images_by_subject; ALTER TABLE uploads DROP COLUMN first_size;",
    2: "ALTER TABLE repositories DROP COLUMN lifecycle; ALTER TABLE repositories DROP COLUMN labels;",
}


@pytest.mark.parametrize("version", _SINCE)
async def test_a_database_of_an_earlier_version_is_taken_over(version: int, tmp_path: Path) -> None:
    async with Server(auth=False, data=tmp_path) as server, V2(server.url) as v2:
        document = await v2.image("v1")
    old = sqlite3.connect(tmp_path / "registry.sqlite")
    undone = "".join(step for since, step in _SINCE.items() if since >= version)
    old.executescript(f"{undone} PRAGMA user_version={version}")
    old.close()
    async with Server(auth=False, data=tmp_path) as server, V2(server.url) as v2:
        assert (await v2("GET", "app/manifests/v1")).body == document
        assert (await v2("PATCH", await v2.start(), b"x")).status == 202
    async with Server(auth=False, data=tmp_path) as server, Calls(server.url) as call:
        with pytest.raises(Refused, match="LifecyclePolicyNotFoundException"):
            await call("GetLifecyclePolicy")
