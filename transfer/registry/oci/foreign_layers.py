"""
Foreign layers: a source that also reads layers which its registry need not hold, from the addresses in their `urls`.

Those addresses come with the image, so they are a stranger's: what is asked there carries no credentials, whatever
the answer (CVE-2020-15157), redirects are followed by the rules of registries' own, and nothing inside a private
network is reached but for an image that comes from inside. Does not verify the digest: whoever uses the bytes does.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import BinaryIO
from urllib.parse import urlsplit

from transfer.auth.challenge import is_private
from transfer.concurrency.limiters import BandwidthLimiter
from transfer.concurrency.retry import Retrier
from transfer.engine.protocols import Source
from transfer.errors import InvalidLayout, NotFound, RateLimited, RegistryError, TransferError
from transfer.events import Observer
from transfer.http.blob_stream import BlobStream, range_header
from transfer.http.messages import HttpRequest, StreamedResponse, origin, resolve_url, retry_after
from transfer.http.transport import Transport
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest
from transfer.registry.oci.registry_http import host_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5


class ForeignLayers:
    """
    A source as it is, and for foreign layers that it does not have, their addresses, one after the other.

    Args:
        source: where everything else is.
        transport: the connections.
        registry: the source's registry, by whose place it is judged what may be reached; None for a local end.
        meter: counts the bytes of layers that come from those addresses.
        observe: told of what is tried again.
    """

    def __init__(
        self,
        source: Source,
        transport: Transport,
        retrier: Retrier,
        *,
        registry: str | None,
        meter: BandwidthLimiter | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._source = source
        self._transport = transport
        self._retrier = retrier
        self._registry_host = None if registry is None else urlsplit(f"//{host_of(registry)}").hostname or ""
        self._meter = meter
        self._observe = observe
        # What the source was asked for already, and does not have.
        self._elsewhere: set[Digest] = set()

    async def resolve(self, reference: str | None) -> Descriptor:
        return await self._source.resolve(reference)

    async def manifest(self, descriptor: Descriptor) -> Manifest:
        return await self._source.manifest(descriptor)

    async def referrers(self, descriptor: Descriptor) -> Sequence[Descriptor]:
        return await self._source.referrers(descriptor)

    def tags(self) -> AsyncIterator[str]:
        return self._source.tags()

    def open_file(self, descriptor: Descriptor) -> BinaryIO | None:
        """Open the source's file; None for a foreign layer that it does not have, which is streamed. Blocks."""
        if not descriptor.is_foreign:
            return self._source.open_file(descriptor)
        try:
            return self._source.open_file(descriptor)
        except InvalidLayout:
            return None

    def locate(self, descriptor: Descriptor) -> str:
        """Return where the blob is; for a foreign layer, the hosts of its URLs."""
        if descriptor.digest not in self._elsewhere:
            return self._source.locate(descriptor)
        return f"{descriptor.digest} at {', '.join(map(_place, descriptor.urls or ()))}"

    @asynccontextmanager
    async def open_blob(
        self, descriptor: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Stream the bytes from `offset` up to, not including, `end`; errors as of the source.

        Raises:
            NotFound: a foreign layer is neither there nor at any of its addresses.
        """
        stop = descriptor.end_of_range(offset, end)
        async with AsyncExitStack() as stack:
            pieces = await self._from_source(stack, descriptor, offset, end)
            yield pieces or await self._from_addresses(stack, descriptor, offset, stop)

    async def _from_source(
        self, stack: AsyncExitStack, blob: Descriptor, offset: int, end: int | None
    ) -> AsyncIterator[bytes] | None:
        if blob.digest in self._elsewhere:
            return None
        try:
            return await stack.enter_async_context(self._source.open_blob(blob, offset=offset, end=end))
        except (NotFound, InvalidLayout):
            if not blob.is_foreign:
                raise
            self._elsewhere.add(blob.digest)
            return None

    async def _from_addresses(
        self, stack: AsyncExitStack, blob: Descriptor, offset: int, stop: int
    ) -> AsyncIterator[bytes]:
        reasons = []
        for url in blob.urls or ():
            what = f"foreign layer {blob.digest} from {_place(url)}"
            stream = BlobStream(
                blob,
                offset,
                stop,
                what=what,
                open_range=partial(self._open, url, blob.size, what),
                retry=partial(self._retrier.run, on_retry=self._observe),
            )
            try:
                return await stack.enter_async_context(stream.read())
            except TransferError as error:
                reasons.append(str(error))
        raise NotFound(
            f"foreign layer {blob.digest}: {'; '.join(reasons) or 'it names no address'}; the source does not have it "
            "either, so leave foreign layers out, or make it available",
            status=404,
            code="FOREIGN_LAYER",
            side="source",
        )

    @asynccontextmanager
    async def _open(self, url: str, size: int, what: str, first: int, end: int) -> AsyncIterator[StreamedResponse]:
        """Ask one address, and where it leads, for the bytes [first, end)."""
        url, headers = resolve_url(url, url, what=what, status=400, header="address"), range_header(first, end, size)
        for _ in range(_MOST_HOPS + 1):
            public_only = self._registry_host is None or self._transport.is_public(self._registry_host)
            _check_address(url, what, public_only=public_only)
            large = size > self._transport.large_blob_bytes
            request = HttpRequest("GET", url, headers, public_only=public_only, meter=self._meter, large=large)
            async with self._transport.stream(request, what=what) as reply:
                if reply.status in {200, 206}:
                    yield reply
                    return
                if reply.status not in _REDIRECTS:
                    raise _refused(what, url, reply)
                location = reply.headers.get("location", "")
            url = resolve_url(url, location, what=what, status=reply.status)
        raise RegistryError(f"{what}: more than {_MOST_HOPS} redirects", status=302, code="REDIRECTS")


def _place(url: str) -> str:
    """Return the part of an unchecked URL that may be shown."""
    try:
        return origin(url)
    except ValueError:
        return "an address that is none"


def _check_address(url: str, what: str, *, public_only: bool) -> None:
    """Refuse an address inside that is written as one; what names lead to, the transport sees."""
    if public_only and is_private((urlsplit(url).hostname or "").lower().rstrip(".")):
        raise RegistryError(
            f"{what}: {origin(url)} is inside a private network, where an image may not send a client; not done",
            status=400,
            code="PRIVATE_ADDRESS",
        )


def _refused(what: str, url: str, reply: StreamedResponse) -> RegistryError:
    kind = NotFound if reply.status == 404 else RateLimited if reply.status == 429 else RegistryError
    return kind(
        f"{what}: {origin(url)} answered {reply.status}",
        status=reply.status,
        code=str(reply.status),
        retry_after=retry_after(reply.headers, now=time.time()),
    )
