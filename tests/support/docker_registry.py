"""Debian's docker-registry on a free loopback port: a real peer, where it is installed."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PROGRAM = shutil.which("docker-registry")
INSTALL = "docker-registry is not installed: apt-get install -y docker-registry"

_CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
{auth}
"""


@asynccontextmanager
async def docker_registry(folder: Path, *, auth: str = "") -> AsyncIterator[str]:
    """Run one, with its storage in `folder`; gives `127.0.0.1:PORT`."""
    assert PROGRAM is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(_CONFIG.format(root=folder / "storage", port=port, auth=auth))
    with (folder / "registry.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(PROGRAM, "serve", str(config), stdout=log, stderr=log)
    try:
        await _answers(port)
        yield f"127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _answers(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
    raise AssertionError("docker-registry did not start within 10 seconds")
