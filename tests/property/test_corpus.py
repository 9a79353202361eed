"""
Inputs that broke a parser once, here or elsewhere: each is read, or refused by an error of this package in one line.

Add a file to a folder of `tests/corpus/` and every parser of that folder's kind is given it.
"""

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from transfer.auth.challenge import choose, judge_realm, parse_challenges
from transfer.errors import TransferError
from transfer.http.messages import held_bytes, next_link, printable, resolve_url, retry_after, smallest_chunk, total_of
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
from transfer.server.tokens import read_token

CORPUS = Path(__file__).parent.parent / "corpus"
BASE = "https://registry.example/v2/"


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def one_line(error: BaseException) -> None:
    assert "\n" not in str(error)


def challenge(raw: bytes) -> None:
    chosen = choose(parse_challenges(text_of(raw)), what="GET")
    judge_realm(chosen.parameters.get("realm", ""), BASE, what="GET")


def headers(raw: bytes) -> None:
    given = dict.fromkeys(["range", "content-range", "retry-after", "link", "oci-chunk-min-length"], text_of(raw))
    held_bytes(given, 1000), retry_after(given, now=0), total_of(given), smallest_chunk(given), next_link(given)
    assert "\n" not in printable(text_of(raw))


PARSERS: dict[str, list[Callable[[bytes], Any]]] = {
    "documents": [parse_manifest, read_entries, check_layout],
    "tars": [lambda raw: index_tar(io.BytesIO(raw)), lambda raw: index_tar(io.BytesIO(raw), links=True)],
    "configurations": [
        lambda raw: read_document(text_of(raw)),
        lambda raw: read_images(text_of(raw)),
        lambda raw: gotemplate.parse(text_of(raw)),
    ],
    "texts": [
        challenge,
        headers,
        lambda raw: parse_reference(text_of(raw)),
        lambda raw: parse_reference(text_of(raw), short_names=True),
        lambda raw: Digest(text_of(raw)),
        lambda raw: parse_platform(text_of(raw)),
        lambda raw: parse_layout_reference(text_of(raw)),
        lambda raw: resolve_url(BASE, text_of(raw), what="POST", status=202),
        lambda raw: read_token("secret", [], text_of(raw)),
    ],
}
CASES = {
    f"{path.stem}-{number}": (path, parse)
    for kind, parsers in PARSERS.items()
    for path in sorted((CORPUS / kind).iterdir())
    for number, parse in enumerate(parsers)
}


@pytest.mark.timeout(5)
@pytest.mark.parametrize(("path", "parse"), CASES.values(), ids=CASES)
def test_it_is_read_or_refused(path: Path, parse: Callable[[bytes], Any]) -> None:
    try:
        parse(path.read_bytes())
    except (TransferError, DocumentError, TarRefused, ApiError) as error:
        one_line(error)


@pytest.mark.parametrize("path", sorted((CORPUS / "texts").iterdir()), ids=lambda path: path.stem)
def test_a_title_leads_nowhere_else(path: Path) -> None:
    with suppress(ValueError):
        assert ".." not in safe_names(text_of(path.read_bytes()))
