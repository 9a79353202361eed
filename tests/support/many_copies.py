"""
A program that copies one image from a registry into many repositories of another at once: SOURCE TARGET COPIES.

Says in JSON what that took: the most worker threads at once, the memory before and at its peak, and what is left.
"""

import asyncio
import json
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from transfer import Engine, TransferConfig
from transfer.endpoints.registry_access import RegistryAccess

LOGIN = RegistryAccess(login="transfer:transfer", plain_http=True)
# Small data, moved as large ones are.
CONFIG = TransferConfig(large_blob_bytes=64 * 1024, upload_chunk_threshold=64 * 1024, upload_chunk_bytes=128 * 1024)


def workers() -> int:
    return len([thread for thread in threading.enumerate() if thread.name == "transfer-lane"])


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def sockets() -> int:
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += str(file.readlink()).startswith("socket:")
    return found


async def watch(most: list[int]) -> None:
    while True:
        most[0] = max(most[0], workers())
        await asyncio.sleep(0.005)


async def copies(source: str, target: str, count: int) -> dict[str, object]:
    most = [0]
    async with Engine(CONFIG) as engine:
        await engine.copy(source, f"{target}/warm:v1", source_access=LOGIN, target_access=LOGIN)
        before = memory("VmRSS")
        watching = asyncio.create_task(watch(most))
        sources = [source.replace("v0", f"v{number}") for number in range(count)]
        await asyncio.gather(
            *(
                engine.copy(one, f"{target}/r{number}:v1", source_access=LOGIN, target_access=LOGIN)
                for number, one in enumerate(sources)
            )
        )
        watching.cancel()
    files = [file.name for file in Path(tempfile.gettempdir()).iterdir()]
    most_memory = memory("VmHWM")
    return {
        "workers": most[0],
        "before": before,
        "peak": most_memory,
        "left": workers(),
        "files": files,
        "sockets": sockets(),
    }


if __name__ == "__main__":
    idle = asyncio.new_event_loop()
    base = sockets()
    result = idle.run_until_complete(copies(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    print(json.dumps({**result, "base": base}))  # noqa: T201 - what the test reads
    idle.close()
