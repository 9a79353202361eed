"""
Names of hosts: looked up in a thread, with what is known of whether they are public, or refused where they are not.
"""

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from transfer.http.blocking_socket import Address
from transfer.http.failures import PrivateAddress
from transfer.http.route import is_public


class Resolver(ThreadedResolver):
    """
    Finds the addresses of hosts; made in the event loop that uses it.

    Args:
        public: the hosts that are known to be public, which it adds to.
        public_only: refuse what is not.
    """

    def __init__(self, public: set[str], *, public_only: bool) -> None:
        super().__init__()
        self._public = public
        self._public_only = public_only

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        public = [is_public(one["host"]) for one in found]
        if self._public_only and not all(public):
            raise PrivateAddress
        if any(public):
            self._public.add(host)
        return found

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """
        Return the addresses of a host or of an address, in the order in which they are to be tried.

        Raises:
            OSError: there is none.
            PrivateAddress: one of them is refused.
        """
        if not _is_address(host):
            found = await self.resolve(host, port)
            return [(one["family"], (one["host"], one["port"])) for one in found]
        if self._public_only and not is_public(host):
            raise PrivateAddress
        return [(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port))]


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return False
