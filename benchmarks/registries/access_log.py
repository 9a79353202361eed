"""What docker-registry was asked, by its access log, in the words of the embedded registry's log; and what it took."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from transfer.server.distribution.errors import Refusal
from transfer.server.distribution.routes import find_route

_REQUEST = re.compile(r'"([A-Z]+) (/\S*) HTTP/[0-9.]+" [0-9]{3} ')


class AccessLog:
    """
    The requests and the CPU seconds of a docker-registry since the last `clear`.

    Args:
        file: what it writes.
        cpu_seconds: tells the CPU seconds that it has taken; None where they are not known.
    """

    def __init__(self, file: Path, cpu_seconds: Callable[[], float | None]) -> None:
        self._file = file
        self._cpu_seconds = cpu_seconds
        self._read_from = 0
        self._cpu_before: float | None = 0.0

    def clear(self) -> None:
        """Count from here."""
        self._read_from = self._file.stat().st_size
        self._cpu_before = self._cpu_seconds()

    def read(self) -> dict[str, Any]:
        """Return `requests` by kind and, where they are known, `cpu_seconds`."""
        lines = self._file.read_bytes()[self._read_from :].decode(errors="replace").splitlines()
        now, before = self._cpu_seconds(), self._cpu_before
        cpu = {} if now is None or before is None else {"cpu_seconds": now - before}
        return {"requests": kinds(lines), **cpu}


def kinds(lines: Iterable[str]) -> dict[str, int]:
    """Requests by kind in lines of the common log format; other lines are passed over."""
    found: Counter[str] = Counter()
    for line in lines:
        if match := _REQUEST.search(line):
            found[_kind(match[1], match[2])] += 1
    return dict(found)


def _kind(method: str, target: str) -> str:
    place = urlsplit(target)
    try:
        return find_route(method, place.path, parse_qs(place.query, keep_blank_values=True)).operation
    except Refusal:
        return f"{method} elsewhere"
