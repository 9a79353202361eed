"""What docker-registry was asked, by its access log: requests by kind, in the words of the embedded registry's log."""

import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from transfer.server.distribution.errors import Refusal
from transfer.server.distribution.routes import find_route

_REQUEST = re.compile(r'"([A-Z]+) (/\S*) HTTP/[0-9.]+" [0-9]{3} ')


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
