"""Numbers and foreign text as people read and write them on a command line. Pure; knows no stream and no terminal."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# The version of all documents that commands print.
DOCUMENTS = 1

# Control characters, the C1 block, line separators and bidirectional overrides: what makes a terminal show something
# other than what was printed.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SPACE = re.compile(r"[\t\n\v\f\r\u2028\u2029]+")


def display(text: object) -> str:
    """Return one line of the text that a terminal shows as it is: no control character is left in it."""
    return _UNSAFE.sub("", _SPACE.sub(" ", str(text))).strip()


def format_size(size: float) -> str:
    """Return bytes in decimal units with three digits, as docker shows them: `0 B`, `9.54 MB`, `128 MB`."""
    if size < 1000:
        return f"{size:.0f} B"
    unit = "B"
    for unit in ("kB", "MB", "GB", "TB", "PB"):  # noqa: B007 -- the unit that the loop stops at is used
        size /= 1000
        if size < 999.5:
            break
    return f"{size:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} {unit}"


def format_rate(rate: float | None) -> str:
    """Return bytes a second, or `-` where there is no measure yet."""
    return "-" if rate is None else f"{format_size(rate)}/s"


def format_duration(seconds: float | None) -> str:
    """`9:05`, `1:02:03`, or `-:--` where it is not known."""
    if seconds is None:
        return "-:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def count(number: int, noun: str) -> str:
    """`1 blob`, `2 blobs`, `3 retries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def parse_key(text: str) -> tuple[str, str]:
    """
    Access key id and secret of `ID:SECRET`.

    Raises:
        ValueError: one of them is missing; the message does not repeat the text, which holds a secret.
    """
    key_id, _, secret = text.partition(":")
    if not key_id or not secret:
        raise ValueError("expected ID:SECRET, an access key id and its secret with a colon between them")
    return key_id, secret


def align(rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of columns that are two spaces apart; an empty cell is `-`, so that columns can be counted."""
    cells = [[display(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def versioned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its version, which changes when a member gets another name or meaning."""
    return {"version": DOCUMENTS, **document}


def json_text(document: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, indented: bool = True) -> str:
    """Return a document, or a list of them, as JSON."""
    import msgspec

    whole = versioned(document) if isinstance(document, Mapping) else [versioned(one) for one in document]
    text = msgspec.json.encode(whole, enc_hook=str)
    return (msgspec.json.format(text, indent=2) if indented else text).decode()
