"""The log of requests: method, address, status and milliseconds; never a query, a header or a body."""

import logging
import time
from urllib.parse import urlsplit

from transfer.http.messages import HttpRequest, origin, printable

_LOGGER = logging.getLogger("transfer.http")


def log_answer(request: HttpRequest, what: str, status: int, began: float) -> None:
    """
    Log an answer's head.

    Args:
        what: what the request was for.
        began: when it was sent, by the monotonic clock.
    """
    if _LOGGER.isEnabledFor(logging.DEBUG):
        path = urlsplit(request.url).path or "/"
        # The ECR API has one path for all of its operations.
        operation = f" ({what})" if path == "/" else ""
        place = printable(f"{origin(request.url)}{path}{operation}")
        _LOGGER.debug("%s %s %d %.0f ms", request.method, place, status, 1000 * (time.monotonic() - began))
