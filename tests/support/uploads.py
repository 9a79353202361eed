"""How tests push one blob into a scripted registry."""

from tests.support.distribution_ends import opened
from tests.support.quirky import QuirkyRegistry
from transfer.auth.credentials import FixedLogin, Login
from transfer.engine.protocols import BlobContext, BlobSent, Source
from transfer.events import Event
from transfer.http.settings import RegistrySettings
from transfer.model.descriptor import Descriptor
from transfer.state.journal import Journal

MIB = 1024 * 1024
CHUNK = MIB
PLAIN = RegistrySettings(plain_http=True)
LOGIN = FixedLogin(Login("me", "canary-31c7"))


async def push(
    peer: QuirkyRegistry,
    source: Source,
    blob: Descriptor,
    *,
    threshold: int = CHUNK,
    journal: Journal | None = None,
    events: list[Event] | None = None,
) -> BlobSent:
    notify = (lambda _: None) if events is None else events.append
    async with opened(peer.registry, settings=PLAIN, journal=journal, logins=LOGIN) as registry:
        target = registry.target("app", chunk=CHUNK, threshold=threshold)
        return await target.push_blob(BlobContext(blob, notify), source)
