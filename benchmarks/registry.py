"""
The embedded registry in a process of its own, with its request log for who asks: `python -m benchmarks.registry DIR`.

Its memory and its CPU are then not the client's.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.answering import answer_lines, run
from transfer.server import RequestLog, RequestRecord, Server


async def main(data: Path) -> None:
    async with Server(data=data) as server:
        ready = {"environment": server.environment, "registry": server.registry}
        await answer_lines(ready, lambda line: _answer(line, server.requests))


def _answer(line: str, log: RequestLog) -> dict[str, Any]:
    """`log` tells what came since the last `clear`; so does `clear`, and begins anew."""
    answer = {"cpu_seconds": time.process_time(), **summary(log)}
    if line == "clear":
        log.clear()
    return answer


def summary(records: Sequence[RequestRecord]) -> dict[str, Any]:
    """Requests by operation, and bytes of layers that arrived, those of requests that broke off included."""
    return {
        "requests": dict(Counter(record.operation for record in records)),
        "received": sum(record.blob_bytes for record in records if record.operation == "UploadLayerPart"),
    }


if __name__ == "__main__":
    run(main(Path(sys.argv[1])))
