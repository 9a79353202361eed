"""Layer part documents, cut at every position, and bodies as they are received."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable

import pybase64
import pytest

from transfer.server.body import MAX_DOCUMENT, PartBody, PlainBody, receive
from transfer.server.errors import ApiError

CONTENT = bytes(range(256)) + b"\xff\xef\xfb\xbf"  # has + and / in base64
TEXT = pybase64.b64encode(CONTENT).decode()


def read(document: bytes, *cuts: int) -> tuple[bytes, bytes]:
    blob = bytearray()
    body = PartBody(blob.extend)
    for start, end in zip((0, *cuts), (*cuts, len(document)), strict=True):
        body.feed(document[start:end])
    return bytes(blob), body.document()


DOCUMENTS = {
    "blob last": f'{{"repositoryName":"app","layerPartBlob":"{TEXT}"}}',
    "blob first": f'{{"layerPartBlob":"{TEXT}","repositoryName":"app"}}',
    "white space": f'\n{{ "repositoryName" : "app" ,\t"layerPartBlob" : "{TEXT}" }} ',
    "slashes escaped": json.dumps({"repositoryName": "app", "layerPartBlob": TEXT}).replace("/", "\\/"),
    "signs as code points": f'{{"repositoryName":"app","layerPartBlob":"{TEXT}"}}'.replace("=", "\\u003d").replace(
        "+", "\\u002B"
    ),
    "key escaped": f'{{"layer\\u0050artBlob":"{TEXT}","repositoryName":"app"}}',
    "decoys": json.dumps(
        {
            "x": {"layerPartBlob": "inner", "y": ["layerPartBlob", ":"]},
            'z"\\': 'layerPartBlob":"',
            "layerPartBlob": TEXT,
            "repositoryName": "app",
        }
    ),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_blob_is_found_wherever_the_document_is_cut(document: str) -> None:
    whole = json.loads(document)
    raw = document.encode()
    for cut in range(len(raw) + 1):
        blob, rest = read(raw, cut)
        assert blob == CONTENT
        assert json.loads(rest) == whole | {"layerPartBlob": ""}


def test_a_document_that_arrives_byte_by_byte_is_read_the_same() -> None:
    raw = DOCUMENTS["signs as code points"].encode()
    blob, rest = read(raw, *range(1, len(raw)))
    assert blob == CONTENT
    assert json.loads(rest) == {"repositoryName": "app", "layerPartBlob": ""}


@pytest.mark.parametrize("document", ['{"layerPartBlob":null}', '{"layerPartBlob":12}', "[]", '"text"', "not JSON", ""])
def test_a_document_without_a_blob_string_is_kept_as_it_is(document: str) -> None:
    assert read(document.encode()) == (b"", document.encode())


@pytest.mark.parametrize(
    "blob",
    [
        "YWJj!AAA",
        "YWJ",
        "YQ==YWJj",
        "YW Jj",
        "YWJj\\n",
        "YWJj\\\\",
        "YWJj\\u005c/AAA",
        "YWJ\u00e9",
        "YW\\",
        "====",
        "YWJj\\u00",
    ],
)
def test_what_is_no_base64_is_refused(blob: str) -> None:
    with pytest.raises(ApiError, match="layerPartBlob") as caught:
        read(f'{{"layerPartBlob":"{blob}"}}'.encode())
    assert caught.value.code == "SerializationException"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"layerPartBlob":"YWJj","layerPartBlob":"YWJj"}', "twice"),
        ('{"layerPartBlob":"YWJj', "ends inside"),
        ('{"x":"' + "y" * 70_000, "beside layerPartBlob"),
    ],
)
def test_a_document_that_hides_something_is_refused(document: str, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        read(document.encode())


@pytest.mark.parametrize("end", [b"YWJj", b"YWJjZA", b'YWJj"', b'YWJj"}'])
def test_a_document_that_breaks_off_tells_what_stood_before_the_blob(end: bytes) -> None:
    body = PartBody(lambda _: None)
    body.feed(b'{"uploadId":"u","partFirstByte":5,"layerPartBlob":"' + end)
    assert body.beginning() == {"uploadId": "u", "partFirstByte": 5, "layerPartBlob": ""}
    assert body.blob_bytes == 3


def test_a_document_that_breaks_off_before_the_blob_tells_nothing() -> None:
    body = PartBody(lambda _: None)
    body.feed(b'{"uploadId":"u","partFir')
    assert body.beginning() == {}


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Hops:
    """Runs in place and counts how much would have gone to a thread."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, work: Callable[[bytes], None], data: bytes) -> None:
        self.sizes.append(len(data))
        work(data)


async def test_a_body_is_hashed_whole_and_leaves_the_loop_in_large_batches() -> None:
    pieces = [bytes([number]) * 40_000 for number in range(20)]
    body, hops = PlainBody(), Hops()
    assert await receive(chunks(*pieces), body, hops) == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert body.document() == b"".join(pieces)
    assert hops.sizes == [280_000, 280_000, 240_000]


async def test_a_small_body_stays_in_the_loop() -> None:
    hops = Hops()
    await receive(chunks(b"{", b"}"), PlainBody(), hops)
    assert hops.sizes == []


async def test_a_body_above_its_limit_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        await receive(chunks(bytes(MAX_DOCUMENT), b"x"), PlainBody(), Hops())
    assert (caught.value.code, caught.value.status) == ("RequestEntityTooLargeException", 413)
