"""Plain HTTP to a port that speaks TLS, as servers in Go and nginx answer it."""

import pytest

from tests.support.distribution_ends import opened
from tests.support.scripted import answer, scripted
from transfer.errors import RegistryError


@pytest.mark.parametrize(
    "body",
    [b"Client sent an HTTP request to an HTTPS server.\n", b"<title>400 The plain HTTP request was sent to HTTPS port"],
)
async def test_it_is_said_that_the_port_speaks_tls(body: bytes) -> None:
    async with scripted(answer(400, body)) as peer, opened(peer.url.removeprefix("http://")) as registry:
        with pytest.raises(RegistryError, match="this port speaks TLS; leave out --plain-http"):
            await registry.source("app").resolve("v1")
