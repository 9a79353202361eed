"""
The route to a host: its proxy, its TLS context, and whether it is public.

Reads proxies and certificates from the environment and from files; blocks, so the transport calls it in a thread.
Does not send anything.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from transfer.errors import InvalidConfig
from transfer.http.settings import Tls, trust_of

_PORTS = {"http": 80, "https": 443}


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
    proxy = _proxy(place.scheme, place.hostname or "", place.port)
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


def _proxy(scheme: str, host: str, port: int | None) -> str | None:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, else the system's settings as urllib reads them."""
    if _is_loopback(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme)
    if not proxy or _is_exempt(host, port or _PORTS.get(scheme, 0), proxies):
        return None
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise InvalidConfig(f"{scheme.upper()}_PROXY: it must be of the form http[s]://host:port")
    return proxy


def _is_loopback(host: str) -> bool:
    """Return whether a host is this machine, which no proxy is asked for; source: Go's httpproxy, and curl's."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.endswith(".localhost")


def _is_exempt(host: str, port: int, proxies: Mapping[str, str]) -> bool:
    if getproxies_environment():
        return is_listed(host, port, proxies.get("no", ""))
    # The settings of macOS and Windows have a list of their own.
    return bool(proxy_bypass(host))


def is_listed(host: str, port: int, no_proxy: str) -> bool:
    """
    Return whether NO_PROXY names a host.

    Its entries, between commas or spaces: `*`; an IP address, or a network as in `10.0.0.0/8`; a name, which stands
    for all below it too, with or without a leading `.` or `*.`; each but the first with `:PORT` where only that is
    meant. Source: Go's golang.org/x/net/http/httpproxy, which docker, crane and skopeo use, and curl's manual.
    """
    return any(_is_meant(host.lower().rstrip("."), port, one) for one in no_proxy.lower().replace(",", " ").split())


def _is_meant(host: str, port: int, entry: str) -> bool:
    if entry == "*":
        return True
    name, only = _without_port(entry)
    if only is not None and only != port:
        return False
    address = _address(host)
    try:
        if address is not None:
            return address in ipaddress.ip_network(name, strict=False)
    except (ValueError, TypeError):
        return False
    domain = name.removeprefix("*").lstrip(".").rstrip(".")
    return bool(domain) and (host.endswith(f".{domain}") or (host == domain and not name.startswith("*")))


def _without_port(entry: str) -> tuple[str, int | None]:
    """Return an entry of NO_PROXY as name and port: `[::1]:5000`, `host:5000`, but not the end of `::1`."""
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.endswith("]")):
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
