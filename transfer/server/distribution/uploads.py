"""
Pushing blobs: at once, in chunks, or by mounting what another repository holds.

Every piece is recorded as it is written, so what a broken request brought is not lost: the session's status tells
where to go on. Of two requests that write to one session, the one that comes second finds its place taken and is
refused, so a connection that hangs holds nobody up.
"""

import time

from aiohttp import web

from transfer.model.digest import Digest
from transfer.server.distribution import errors
from transfer.server.distribution.chunks import pieces, read_span
from transfer.server.distribution.context import RequestContext, existing, writable
from transfer.server.ecr.session import Session
from transfer.server.store import blobs, repositories
from transfer.server.store.blobs import StoredUpload

_ALGORITHMS = ("sha256", "sha512")  # OCI image-spec 1.1: the registered ones


async def start(ex: RequestContext) -> web.Response:
    """POST: begin a session."""
    algorithm = ex.request.query.get("digest-algorithm", "sha256")
    if algorithm not in _ALGORITHMS:
        raise errors.digest_invalid(f"digest-algorithm {algorithm[:80]!r}: expected {' or '.join(_ALGORITHMS)}")
    return await begun(ex, algorithm)


async def post(ex: RequestContext) -> web.Response:
    """POST with a digest: the whole blob in one request."""
    digest = ex.digest(ex.request.query["digest"])
    upload = await begin(ex, digest.algorithm)
    try:
        received = await receive(ex, upload)
        await finish(ex, received, digest)
    except (errors.Refusal, ConnectionError):
        await ex.registry.upload_store.cancel(upload)  # nobody was told of it, so nobody can go on with it
        raise
    return created(ex, digest)


async def mount(ex: RequestContext) -> web.Response:
    """POST with a mount: take over a blob of another repository, of any where none is named; else begin a session."""
    digest, source = ex.digest(ex.request.query["mount"]), ex.request.query.get("from")

    def take(session: Session) -> bool:
        target, holder = writable(session, ex.name), None
        if source is not None:
            found = repositories.find(session.connection, source)
            if found is None:
                return False
            holder = found.id
        size = blobs.held_size(session.connection, digest, holder)
        if size is not None:
            blobs.add(session.connection, target.id, digest, size)
        return size is not None

    return created(ex, digest) if await ex.run(take) else await begun(ex, digest.algorithm)


async def patch(ex: RequestContext) -> web.Response:
    """PATCH: the next chunk, or all of the blob as a stream."""
    upload = await receive(ex, await find(ex))
    return web.Response(status=ex.dialect.patch_status, headers=headers(ex, upload))


async def put(ex: RequestContext) -> web.Response:
    """PUT: the last chunk if there is one, and the end of the session."""
    digest = wanted(ex)
    upload = await receive(ex, await find(ex))
    await finish(ex, upload, digest)
    return created(ex, digest)


async def status(ex: RequestContext) -> web.Response:
    """GET: how far the session is. It changes nothing and waits for nobody."""
    return web.Response(status=204, headers=headers(ex, await find(ex)))


async def cancel(ex: RequestContext) -> web.Response:
    """DELETE: end the session and drop what it received."""
    async with ex.registry.upload_store.lock(ex.route.about):
        await ex.registry.upload_store.cancel(await find(ex))
    return web.Response(status=204)


async def begun(ex: RequestContext, algorithm: str) -> web.Response:
    return web.Response(status=202, headers=headers(ex, await begin(ex, algorithm)))


async def begin(ex: RequestContext, algorithm: str) -> StoredUpload:
    store, open_session = ex.registry.upload_store, ex.open_session()
    upload_id = await store.begin(lambda connection: writable(open_session(connection), ex.name).id, ex.now, algorithm)
    ex.facts["upload_id"] = upload_id
    return StoredUpload(upload_id, 0)


async def find(ex: RequestContext, upload_id: str | None = None) -> StoredUpload:
    upload_id = upload_id or ex.route.about
    ex.facts["upload_id"] = upload_id

    def work(session: Session) -> StoredUpload:
        repository = existing(session, ex.name)
        found = ex.registry.upload_store.find(session.connection, upload_id, repository.id, ex.now)
        if found is None:
            raise errors.upload_unknown()
        return found

    return await ex.run(work)


async def receive(ex: RequestContext, upload: StoredUpload) -> StoredUpload:
    """Append the request's body, which may be empty, to a session."""
    length = ex.request.content_length
    span = read_span(ex.request.headers.get("Content-Range"), length)
    if length or span:
        first = span.first if span else upload.received
        ex.facts |= {"first_byte": first, "last_byte": first + (span.size if span else length or 0) - 1}
    if span and span.first != upload.received:
        raise ex.dialect.out_of_order(ex, upload, span.first)
    goes_on = False
    async for piece in pieces(ex.request.content.iter_any()):
        if span and upload.received + len(piece) > span.last + 1:
            raise errors.size_invalid(f"the body is longer than the {span.size} bytes of its Content-Range")
        ex.received += len(piece)
        upload = await _append(ex, upload, piece, goes_on=goes_on)
        goes_on = True
    if span and upload.received != span.last + 1:
        raise errors.size_invalid(f"the body is shorter than the {span.size} bytes of its Content-Range")
    return upload


async def finish(ex: RequestContext, upload: StoredUpload, digest: Digest) -> None:
    """Make the blob of what was received; a session whose content is another one's is of no use and goes."""
    store = ex.registry.upload_store
    async with store.lock(upload.id):
        current = await unchanged(ex, upload)
        actual = await store.digest(current, digest.algorithm)
        if actual != digest:
            await store.cancel(current)
            raise errors.digest_invalid(f"the {current.received} bytes received have digest {actual}, not {digest}")
        await store.keep(current, digest)


async def unchanged(ex: RequestContext, upload: StoredUpload) -> StoredUpload:
    """
    Return the session as it is stored, for those who hold its lock.

    Raises:
        Refusal: it is gone, or another request has written to it.
    """
    current = await find(ex, upload.id)
    if current.received != upload.received:
        raise ex.dialect.out_of_order(ex, current, upload.received)
    return current


async def _append(ex: RequestContext, upload: StoredUpload, piece: bytes, *, goes_on: bool) -> StoredUpload:
    store = ex.registry.upload_store
    async with store.lock(upload.id):
        current = await unchanged(ex, upload)
        grown = current.grown(len(piece), ex.registry.settings.smallest_part, goes_on=goes_on)
        if not await store.append(current, grown, [piece], time.time()):
            raise errors.upload_unknown()
    return grown


def wanted(ex: RequestContext) -> Digest:
    """Return the digest that a PUT must name."""
    return ex.digest(ex.request.query.get("digest", ""))


def headers(ex: RequestContext, upload: StoredUpload) -> dict[str, str]:
    """
    Return the headers that describe a session.

    A Range cannot say that there is nothing yet: as in CNCF Distribution, that is 0-0 too.
    """
    found = {"Location": ex.location(f"blobs/uploads/{upload.id}"), "Range": f"0-{ex.dialect.last_byte(upload)}"}
    return found | ({"Docker-Upload-UUID": upload.id} if ex.dialect.tells_upload_id else {})


def created(ex: RequestContext, digest: Digest) -> web.Response:
    return web.Response(
        status=201, headers={"Location": ex.location(f"blobs/{digest}"), "Docker-Content-Digest": digest}
    )
