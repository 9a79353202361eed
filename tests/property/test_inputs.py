"""References, digests, headers, documents and archives from strangers."""

import io
import json
import string
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transfer.auth.challenge import choose, judge_realm, parse_challenges
from transfer.errors import InvalidConfig, InvalidDigest, InvalidManifest, InvalidReference, RegistryError, Unauthorized
from transfer.http.messages import (
    held_bytes,
    next_link,
    origin_of,
    printable,
    resolve_url,
    retry_after,
    smallest_chunk,
    total_of,
)
from transfer.local.archive.tar import TarRefused, index_tar
from transfer.local.files.write import safe_names
from transfer.local.layout.index import check_layout, read_entries
from transfer.local.layout.source import parse_layout_reference
from transfer.mirror.config.document import read_document
from transfer.mirror.config.foreign import gotemplate
from transfer.mirror.config.foreign.image_lists import read_images
from transfer.model.digest import Digest
from transfer.model.document import DocumentError
from transfer.model.manifest import parse_manifest
from transfer.model.platform import parse_platform
from transfer.model.reference import parse_reference
from transfer.server.errors import ApiError
from transfer.server.tokens import make_token, read_token

HOSTS = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){1,2}(:[1-9][0-9]{0,3})?", fullmatch=True)
PATHS = st.from_regex(r"[a-z0-9]{1,6}(/[a-z0-9]{1,6}){0,2}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
# Text made of what parsers look for, which random text seldom has.
MARKS = st.text(alphabet=string.printable + "é\x1b\0\u202e", max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20) | DIGESTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "schemaVersion",
                    "mediaType",
                    "config",
                    "layers",
                    "manifests",
                    "digest",
                    "size",
                    "subject",
                    "platform",
                    "x",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


def one_line(error: BaseException) -> None:
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)


@given(host=HOSTS, path=PATHS, tag=st.none() | TAGS, digest=st.none() | DIGESTS)
def test_a_reference_is_read_back_the_same(host: str, path: str, tag: str | None, digest: str | None) -> None:
    text = f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    assert str(parse_reference(text)) == text
    assert parse_reference(str(parse_reference(text))) == parse_reference(text)


@given(MARKS | st.tuples(HOSTS, MARKS).map("/".join))
@pytest.mark.attack("reference-parsing", "CVE-2023-49081")
def test_any_text_is_a_reference_or_is_refused(text: str) -> None:
    for short in (False, True):
        try:
            found = parse_reference(text, short_names=short)
        except InvalidReference as error:
            one_line(error)
        else:
            assert parse_reference(str(found), short_names=short) == found


@given(MARKS | st.tuples(st.sampled_from(["sha256", "sha512", "sha1", "SHA256", ""]), MARKS).map(":".join) | DIGESTS)
@pytest.mark.attack("CVE-2024-3727", "CVE-2024-37032")
def test_any_text_is_a_digest_or_is_refused(text: str) -> None:
    try:
        assert Digest(text) == text
        assert "/" not in Digest(text).encoded
    except InvalidDigest as error:
        one_line(error)


@given(
    MARKS | st.lists(st.tuples(st.sampled_from(["Bearer", "Basic", "Negotiate"]), MARKS).map(" ".join)).map(", ".join)
)
@pytest.mark.attack("www-authenticate")
def test_any_challenge_is_read_or_refused(header: str) -> None:
    try:
        chosen = choose(parse_challenges(header), what="GET")
        realm = judge_realm(chosen.parameters.get("realm", ""), "https://registry.example/v2/", what="GET")
    except Unauthorized as error:
        one_line(error)
    else:
        assert realm.url.startswith("https://")


@given(
    MARKS
    | st.tuples(st.sampled_from(["//", "/", "?", "http://", "https://", "https://a@", "ftp://", ""]), MARKS).map(
        "".join
    )
)
@pytest.mark.attack("location-forms")
def test_any_location_is_resolved_or_refused(location: str) -> None:
    try:
        url = resolve_url("https://registry.example/v2/app/blobs/uploads/1", location, what="POST", status=202)
    except RegistryError as error:
        one_line(error)
    else:
        assert origin_of(url).scheme in {"http", "https"}
        assert "@" not in url.split("/")[2]


@given(
    st.dictionaries(
        st.sampled_from(["range", "content-range", "retry-after", "link", "oci-chunk-min-length"]),
        MARKS
        | st.from_regex(r"(bytes[= ])?-?[0-9]{1,25}-[0-9]{0,25}(/[0-9*]{1,20})?", fullmatch=True)
        | st.integers().map(str),
    )
)
@pytest.mark.attack("retry-after")
def test_any_headers_are_read(headers: dict[str, str]) -> None:
    held, wait = held_bytes(headers, 1000), retry_after(headers, now=0)
    assert held is None or 0 <= held <= 1000
    assert wait is None or 0 <= wait <= 86_400
    assert (total_of(headers) or 0) >= 0
    assert smallest_chunk(headers) >= 0
    link = next_link(headers)
    assert link is None or isinstance(link, str)


@given(MARKS)
@pytest.mark.attack("terminal-escapes")
def test_what_others_say_is_one_line(text: str) -> None:
    one_line(Exception(printable(text)))
    assert printable(printable(text)) == printable(text)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_any_document_is_read_or_refused(raw: bytes) -> None:
    for read in (parse_manifest, read_entries, check_layout):
        try:
            read(raw)
        except (InvalidManifest, DocumentError) as error:
            one_line(error)


def _tar(names: list[str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


@given(
    names=st.lists(st.text(alphabet=string.printable, min_size=1, max_size=30), min_size=1, max_size=3),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
)
def test_any_tar_is_indexed_or_refused(names: list[str], changes: list[tuple[int, int]]) -> None:
    content = bytearray(_tar(names))
    for at, value in changes:
        content[at % len(content)] = value
    try:
        index = index_tar(io.BytesIO(bytes(content)))
    except TarRefused as error:
        one_line(error)
    else:
        for name, member in index.members.items():
            assert not name.startswith(("/", "../"))
            assert member.start + member.size <= len(content)


@given(MARKS | PATHS)
def test_a_title_leads_below_a_folder_or_is_refused(title: str) -> None:
    try:
        names = safe_names(title)
    except ValueError:
        return
    root = Path("/root-of-all")
    assert root in (root.joinpath(*names)).parents
    assert ".." not in names


@given(MARKS)
def test_any_layout_reference_is_read_or_refused(text: str) -> None:
    try:
        folder, name = parse_layout_reference(text)
    except InvalidReference as error:
        one_line(error)
    else:
        assert str(folder)
        assert name is None or text.endswith(name)


@given(MARKS)
def test_any_platform_is_read_back_the_same_or_refused(text: str) -> None:
    try:
        found = parse_platform(text)
    except InvalidConfig as error:
        one_line(error)
    else:
        assert parse_platform(str(found)) == found or found.os_version is not None


@given(MARKS | JSON.map(json.dumps))
def test_any_configuration_is_read_or_refused(text: str) -> None:
    document = read_document(text)
    for mistake in document.mistakes:
        assert "\n" not in mistake.reason
    try:
        read_images(text)
    except InvalidConfig as error:
        one_line(error)


@given(st.text(alphabet='{}()|.$"`ABenvfileindxsplt 0123456789-/', max_size=40))
def test_any_template_is_read_and_computed_or_refused(text: str) -> None:
    try:
        for part in gotemplate.parse(text):
            if part.pipeline is not None:
                gotemplate.evaluate(part.pipeline, lambda _, name: name)
    except ValueError as error:
        one_line(error)


@example(scope=[], after=[], text="000/")
@given(
    scope=st.lists(st.none() | st.text(max_size=5), max_size=3),
    after=st.lists(st.text(max_size=8), max_size=3),
    text=MARKS,
)
def test_page_tokens_are_read_back_and_others_refused(scope: list[Any], after: list[str], text: str) -> None:
    token = make_token("secret", scope, after)
    assert read_token("secret", scope, token) == after
    for other in (text, token[:-1], f"{token}A", token.swapcase()):
        if other != token:
            with pytest.raises(ApiError):
                read_token("secret", scope, other)
