"""
The health of a watched mirror, over HTTP: `/healthz`, `/readyz` and `/metrics`.

Answers from the event loop that the mirror runs in, so that one which hangs does not answer. The only HTTP server
besides the embedded registry; knows nothing of how a mirror runs.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from transfer.errors import InvalidConfig
from transfer.listener_log import listener_logger
from transfer.mirror.run.report import MirrorReport
from transfer.mirror.watcher.metrics import Metrics

# How long requests that are under way may take to end when the mirror does.
_GRACE_SECONDS = 0.1


class Health:
    """
    The health endpoints of a watched mirror.

    Attributes:
        metrics: its numbers.
        ready: whether a run has ended by itself; what failed in it is in the numbers.
    """

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.ready = False

    def run(self, report: MirrorReport) -> None:
        """A run has ended."""
        self.metrics.run(report)
        self.ready = self.ready or not report.stopped

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[str]:
        """
        Answer at an address until the block is left; port 0 is any free one. Gives the URL.

        Raises:
            InvalidConfig: nobody can listen there.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        logger = listener_logger(__name__)
        runner = web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=_GRACE_SECONDS)
        try:
            await runner.setup()
            try:
                await _whole(web.TCPSite(runner, host, port).start())
            except OSError as error:
                raise InvalidConfig(f"cannot listen on {_shown(host, port)}: {_reason(error)}; name another") from None
            yield f"http://{_shown(host, runner.addresses[0][1])}"
        finally:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self.ready:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="no run has ended yet\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        body, media_type = self.metrics.text(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": media_type})


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Finish something even when cancelled: asyncio loses a socket that it is about to listen on."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait([task])


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()
