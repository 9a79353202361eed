"""
The file of `transfer mirror --failures`: what failed, for the next run to do alone.

One JSON object a line, so that it can be looked at, and cut down, by hand.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from transfer.errors import InvalidConfig

if TYPE_CHECKING:
    from transfer.mirror import MirrorReport


class _Failure(msgspec.Struct):
    target: str
    source: str = ""
    mapping: str = ""
    error: str | None = None
    message: str | None = None


def read_failures(file: Path) -> frozenset[str] | None:
    """
    Return the targets that failed in an earlier run; None where there is no such file.

    Raises:
        InvalidConfig: the file cannot be read as such.
    """
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidConfig(f"failures {file}: {error.strerror}") from None
    try:
        found = frozenset(msgspec.json.decode(line, type=_Failure).target for line in lines if line.strip())
    except msgspec.MsgspecError as error:
        raise InvalidConfig(f"failures {file}: it is not what an earlier run wrote: {error}") from None
    return found or None


def write_failures(file: Path, report: "MirrorReport") -> None:
    """
    Leave what failed, and what was not got to; no file where there is nothing of the kind.

    A mapping that failed as a whole names no images: the next run is then one of everything.
    """
    left = [one for one in report.images if one.status in ("failed", "stopped")]
    if not left or report.mistakes:
        file.unlink(missing_ok=True)
        return
    rows = [_Failure(one.target, one.source, one.mapping, one.error, one.message) for one in left]
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
