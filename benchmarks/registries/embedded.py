"""
The embedded registry in a process of its own, which prints its request log.

Run as `python -m benchmarks.registries.embedded SETTINGS`, the keyword arguments of `Server` as JSON.

Its memory and its CPU are then not the client's.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.clients.cpu import own_seconds
from benchmarks.clients.line_service import answer_lines, run
from transfer.server import RequestRecord, Server


async def main(data: str, **settings: Any) -> None:
    began = 0.0

    async with Server(data=Path(data), **settings) as server:

        def answer(line: str) -> dict[str, Any]:
            """What came since the last `clear`, and the CPU that it took; any other line leaves it at that."""
            nonlocal began
            record = {"cpu_seconds": own_seconds() - began, **summary(server.requests)}
            if line == "clear":
                server.requests.clear()
                began = own_seconds()
            return record

        ready = {"environment": server.environment, "registry": server.registry, "url": server.url}
        await answer_lines(ready, answer)


def summary(records: Sequence[RequestRecord]) -> dict[str, Any]:
    """Requests by operation, and bytes of layers that arrived, those of requests that broke off included."""
    return {
        "requests": dict(Counter(record.operation for record in records)),
        "received": sum(record.blob_bytes for record in records if record.operation == "UploadLayerPart"),
    }


if __name__ == "__main__":
    run(main(**json.loads(sys.argv[1])))
