"""
The route to a host: its proxy, its TLS context, and whether it is public.

Reads proxies and certificates from the environment and from files; blocks, so the transport calls it in a thread.
Does not send anything.
"""

import ipaddress
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from transfer.errors import InvalidConfig
from transfer.http.settings import Tls, trust_of


@dataclass(frozen=True, slots=True)
class Route:
    """The proxy to use, if any, and what decides about certificates."""

    proxy: str | None = field(repr=False)
    trust: ssl.SSLContext | bool


def find_route(url: str, tls: Tls, known: dict[Tls, ssl.SSLContext]) -> Route:
    """
    Return the route to a URL; `known` caches contexts, since certificates take a while to read.

    Raises:
        InvalidConfig: certificates that cannot be read, or a proxy of an unknown kind.
    """
    place = urlsplit(url)
    proxy = _proxy(place.scheme, place.hostname or "")
    trust: ssl.SSLContext | bool = True
    if "https" in {place.scheme, urlsplit(proxy or "").scheme}:
        trust = known.setdefault(tls, known.get(tls) or trust_of(tls))
    return Route(proxy, trust)


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public Internet's; False for private, local and malformed ones."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global


def _proxy(scheme: str, host: str) -> str | None:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or the system's settings), as urllib reads them."""
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise InvalidConfig(f"{scheme.upper()}_PROXY: it must be of the form http[s]://host:port")
    return proxy or None
