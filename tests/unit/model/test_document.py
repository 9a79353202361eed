"""JSON from strangers: what reads differently in two parsers, or costs more than its size, is refused."""

import json
import time

import pytest

from transfer.model.document import MAX_DOCUMENT_BYTES, DocumentError, load

BAD_DOCUMENTS = {
    "empty": b"",
    "blank": b" \n",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"{}"',
    "a number": b"1",
    "unfinished": b'{"a": 1',
    "trailing comma": b'{"a": 1,}',
    "trailing text": b'{"a": 1} x',
    "trailing NUL": b'{"a": 1}\0',
    "two documents": b'{"a": 1}{"b": 2}',
    "two lines of documents": b'{"a": 1}\n{"b": 2}\n',
    "a key twice": b'{"a": 1, "a": 1}',
    "a key twice below": b'{"x": [{"a": {"b": 1, "c": 2, "b": 3}}]}',
    "a key twice by escape": b'{"a": 1, "\\u0061": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": [-Infinity]}',
    "a BOM": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16 with a BOM": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32-be"),
    "Latin-1": '{"ä": 1}'.encode("latin-1"),
    "an overlong slash": b'{"a": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "a comment": b'{"a": 1 /* one */}',
    "single quotes": b"{'a': 1}",
    "a leading zero": b'{"a": 01}',
    "hexadecimal": b'{"a": 0x10}',
    "a raw newline in a string": b'{"a": "x\ny"}',
    "lists nested deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects nested deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an integer of a million digits": b'{"a": ' + b"9" * 1_000_000 + b"}",
    "one byte too large": b'{"a": "' + b"x" * (MAX_DOCUMENT_BYTES - 8) + b'"}',
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_a_document_that_is_not_one_plain_object_is_refused_in_one_line(case: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load(BAD_DOCUMENTS[case])

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_the_largest_document_is_read() -> None:
    raw = b'{"a": "' + b"x" * (MAX_DOCUMENT_BYTES - 9) + b'"}'

    assert len(raw) == MAX_DOCUMENT_BYTES
    assert list(load(raw)) == ["a"]


def test_members_come_as_they_were_written() -> None:
    members = {"a": [1, -2, 2.5, True, None], "ä\u2603": {"": {}}, "n": 2**63}

    assert load(json.dumps(members).encode()) == members
    assert load(json.dumps(members, ensure_ascii=False).encode()) == members


def test_a_repeated_key_after_many_others_is_found_at_once() -> None:
    many = ",".join(f'"{number}":0' for number in range(300_000))
    began = time.process_time()

    with pytest.raises(DocumentError, match="'299999' occurs twice"):
        load(f'{{{many},"299999":0}}'.encode())

    assert time.process_time() - began < 5


def test_a_long_repeated_key_is_not_shown_whole() -> None:
    key = "k" * 100_000

    with pytest.raises(DocumentError) as caught:
        load(f'{{"{key}":0,"{key}":0}}'.encode())

    assert len(str(caught.value)) < 300
