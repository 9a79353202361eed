"""How a registry is reached: TLS, plain HTTP, and the hosts that may receive credentials."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from transfer.errors import InvalidConfig

T = TypeVar("T")


class Tls(msgspec.Struct, frozen=True):
    """
    TLS settings: trusted certificates and the client certificate.

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
        """Return the same trust without the client certificate, for a place that it is not meant for."""
        return replace(self, certificate=None, key=None)


SYSTEM_TLS = Tls()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """
    Connection settings of one registry.

    Attributes:
        tls: trusted certificates, and the client certificate.
        plain_http: speak HTTP without TLS; a loopback host is tried by TLS first where this is False.
        token_hosts: hosts of token servers that may be shown the credentials though they are of another site.
    """

    tls: Tls = SYSTEM_TLS
    plain_http: bool = False
    token_hosts: frozenset[str] = frozenset()


def trust_of(tls: Tls) -> ssl.SSLContext:
    """
    Return a context that trusts what the settings say; reads files, which takes about 30 ms.

    Raises:
        InvalidConfig: certificates cannot be read.
    """
    context = _read("CA certificates", tls.ca_bundle, lambda: ssl.create_default_context(cafile=tls.ca_bundle))
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


def _read(kind: str, path: str | None, read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = str(error.strerror).lower() if missing else "it cannot be used (is it PEM, and the right key?)"
        raise InvalidConfig(f"{kind} {path}: {reason}; check the setting that names it") from None
