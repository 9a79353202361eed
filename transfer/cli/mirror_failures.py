"""
The file of `transfer mirror --failures`: what failed, for the next run to do alone.

One JSON object a line, so that it can be looked at, and cut down, by hand.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from transfer.errors import InvalidConfig
from transfer.mirror.run.report import whole

if TYPE_CHECKING:
    from transfer.mirror import ImageReport, MirrorReport


class _Failure(msgspec.Struct, omit_defaults=True):
    target: str
    source: str = ""
    mapping: str = ""
    error: str | None = None
    message: str | None = None
    # All images of the mapping, since they could not be looked at.
    whole: bool = False

    @property
    def wanted(self) -> str:
        return whole(self.source, self.target) if self.whole else self.target


def read_failures(file: Path) -> frozenset[str] | None:
    """
    Return the targets that failed in an earlier run, as `mirror(only=…)` takes them; None where there is no such file.

    Raises:
        InvalidConfig: the file cannot be read as such.
    """
    return frozenset(row.wanted for row in _rows(file)) or None


def write_failures(file: Path, report: "MirrorReport") -> None:
    """
    Leave what failed, and what was not got to; no file where there is nothing of the kind.

    What an earlier file names stays in it until a run has got to it. The file is replaced as a whole.

    Raises:
        InvalidConfig: it cannot be written.
    """
    left = [_row(one) for one in report.images if one.status in ("failed", "stopped")]
    left += [msgspec.structs.replace(_row(one), whole=True) for one in report.mistakes]
    if report.stopped:
        seen = {one.target for one in report.images} | {row.wanted for row in left}
        left += [row for row in _rows(file) if row.wanted not in seen]
    try:
        if not left:
            file.unlink(missing_ok=True)
            return
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in left))
        part.replace(file)
    except OSError as error:
        raise InvalidConfig(f"failures {file}: {error.strerror}") from None


def _row(one: "ImageReport") -> _Failure:
    return _Failure(one.target, one.source, one.mapping, one.error, one.message)


def _rows(file: Path) -> list[_Failure]:
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InvalidConfig(f"failures {file}: {error.strerror}") from None
    try:
        return [msgspec.json.decode(line, type=_Failure) for line in lines if line.strip()]
    except msgspec.MsgspecError as error:
        raise InvalidConfig(f"failures {file}: it is not what an earlier run wrote: {error}") from None
