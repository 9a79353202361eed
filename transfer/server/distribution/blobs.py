"""Blobs: get, head and delete."""

from aiohttp import web

from transfer.model.digest import Digest
from transfer.server.distribution import errors
from transfer.server.distribution.context import RequestContext, existing
from transfer.server.download import BlobFile
from transfer.server.ecr.session import Session
from transfer.server.store import blobs


async def get(ex: RequestContext) -> web.StreamResponse:
    """GET: the content, whole or a range of it."""
    digest, _ = await find(ex)
    return BlobFile(ex.registry.files.blob(digest), {"Docker-Content-Digest": digest})


async def head(ex: RequestContext) -> web.Response:
    """HEAD: whether it is there, and its size."""
    digest, size = await find(ex)
    headers = {
        "Content-Length": str(size),
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "Docker-Content-Digest": digest,
    }
    return web.Response(headers=headers)


async def delete(ex: RequestContext) -> web.Response:
    """DELETE: end this repository's hold on it; the content goes with the last hold."""
    digest = ex.digest(ex.route.about)

    def work(session: Session) -> None:
        if not blobs.release(session.connection, existing(session, ex.name).id, digest):
            raise errors.blob_unknown(digest)

    await ex.run(work)
    await ex.registry.database.run(ex.registry.remove_unheld)
    return web.Response(status=202)


async def find(ex: RequestContext) -> tuple[Digest, int]:
    """Return the digest and size of the blob that a request is about, which the repository must hold."""
    digest = ex.digest(ex.route.about)

    def work(session: Session) -> int:
        size = blobs.held_size(session.connection, digest, existing(session, ex.name).id)
        if size is None:
            raise errors.blob_unknown(digest)
        return size

    return digest, await ex.run(work)
