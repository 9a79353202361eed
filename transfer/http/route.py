"""
What lies between this machine and a place: the proxy, whose certificates count, and whether it is a public place.

Reads proxies and certificates from the environment and from files; blocks, so the transport calls it in a thread.
Does not send anything.
"""

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
from msgspec.structs import replace

from transfer.errors import InvalidConfig
from transfer.http.certificates import system_trust

T = TypeVar("T")


class Tls(msgspec.Struct, frozen=True):
    """
    Whose certificates count at a place, and as whom to come there.

    Attributes:
        ca_bundle: a file of CA certificates to trust instead of the system's (or SSL_CERT_FILE's).
        extra_ca: a file of CA certificates to trust besides those.
        certificate, key: files of a client certificate and its key; without `key` it lies in the same file.
        verify: False takes any certificate, so that anybody in between can read and change what is sent.
    """

    ca_bundle: str | None = None
    extra_ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True

    def anonymous(self) -> "Tls":
        """The same trust without the client certificate, for a place that it is not meant for."""
        return replace(self, certificate=None, key=None)


SYSTEM_TLS = Tls()


@dataclass(frozen=True, slots=True)
class Route:
    """The proxy to use, if any, and what decides about certificates."""

    proxy: str | None = field(repr=False)
    trust: ssl.SSLContext | bool


def find_route(url: str, tls: Tls, known: dict[Tls, ssl.SSLContext]) -> Route:
    """
    What lies before a place; `known` keeps the contexts, since certificates take a while to read.

    Raises:
        InvalidConfig: certificates that cannot be read, or a proxy of an unknown kind.
    """
    place = urlsplit(url)
    proxy = _proxy(place.scheme, place.hostname or "")
    trust: ssl.SSLContext | bool = True
    if "https" in {place.scheme, urlsplit(proxy or "").scheme}:
        trust = known.setdefault(tls, known.get(tls) or _trust(tls))
    return Route(proxy, trust)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet's; False for private, local and malformed ones."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_global


def _trust(tls: Tls) -> ssl.SSLContext:
    context = _read("CA certificates", tls.ca_bundle, lambda: _certificates(tls))
    if tls.extra_ca is not None:
        _read("CA certificates", tls.extra_ca, lambda: context.load_verify_locations(tls.extra_ca))
    if tls.certificate is not None:
        certificate = tls.certificate
        # A key with a passphrase would make OpenSSL ask for it on the terminal: an empty one makes it fail instead.
        _read("client certificate", certificate, lambda: context.load_cert_chain(certificate, tls.key, password=""))
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificates(tls: Tls) -> ssl.SSLContext:
    return system_trust() if tls.ca_bundle is None else ssl.create_default_context(cafile=tls.ca_bundle)


def _read(kind: str, path: str | None, read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = str(error.strerror).lower() if missing else "it cannot be used as such (is it PEM, and the right key?)"
        raise InvalidConfig(f"{kind} {path}: {reason}; check the setting that names it") from None


def _proxy(scheme: str, host: str) -> str | None:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or the system's settings), as urllib reads them."""
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise InvalidConfig(f"{scheme.upper()}_PROXY: it must be of the form http[s]://host:port")
    return proxy or None
