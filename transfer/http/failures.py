"""
Reasons why no response arrived, in one sentence: what happened, then what to do.

Pure. The transport turns each exception of the network into ConnectionFailed by this one table, whoever raised it: the
HTTP client of the event loop, or that of the worker threads.
"""

import http.client
import os
import socket
import ssl

import aiohttp

from transfer.config import MIB, TransferConfig

LARGEST_REPLY = 64 * MIB


class Dropped(aiohttp.ClientError):
    """A connection that was lost; unlike aiohttp's own two, one that it does not silently send again for."""


class TooLarge(aiohttp.ClientError):
    """A body above what any answer of a registry's API can be."""


class PrivateAddress(OSError):
    """A name that leads into a private network, where the request must not go."""


class NotConnected(OSError):
    """A worker thread's connection that could not be made; `cause` says why."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(*cause.args)
        self.cause = cause


class TlsRefused(NotConnected):
    """The same, where the handshake failed."""


class ProxyUnreachable(NotConnected):
    """The same, where it is the proxy that cannot be reached."""


class ProxyRefused(OSError):
    """A proxy that answered CONNECT with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


_Kinds = type[BaseException] | tuple[type[BaseException], ...]

# First match counts. What came back, then what to do.
_REASONS: tuple[tuple[_Kinds, str], ...] = (
    (
        (aiohttp.ClientProxyConnectionError, ProxyUnreachable),
        "the proxy cannot be reached{detail}; check HTTPS_PROXY and NO_PROXY",
    ),
    ((aiohttp.ClientHttpProxyError, ProxyRefused), "the proxy refused{detail}; check HTTPS_PROXY and NO_PROXY"),
    (PrivateAddress, "its name leads into a private network, where it may not send a client; check the registry"),
    (
        (aiohttp.ClientConnectorDNSError, socket.gaierror),
        "the name cannot be resolved; check the name and the network",
    ),
    (
        ssl.CertificateError,
        "its certificate is not trusted{detail}; name the CA that issued it with --ca FILE, or in SSL_CERT_FILE",
    ),
    ((aiohttp.ClientSSLError, TlsRefused), "TLS failed{detail}; check whether the endpoint is https or http"),
    (aiohttp.ConnectionTimeoutError, "no connection within {connect:g} s; check the address and the network"),
    (
        (aiohttp.ClientConnectorError, NotConnected),
        "no connection{detail}; check the address, and that something listens there",
    ),
    (TimeoutError, "nothing moved for {read:g} s; check the network, or allow more with --read-timeout"),
    (
        (aiohttp.ServerDisconnectedError, http.client.RemoteDisconnected),
        "the connection was closed without an answer; try again",
    ),
    ((aiohttp.ClientPayloadError, http.client.IncompleteRead), "the answer broke off; try again"),
    (
        (aiohttp.ClientResponseError, http.client.HTTPException),
        "the answer is not HTTP; check whether the endpoint is https or http",
    ),
    (aiohttp.InvalidURL, "this is not a URL; check the endpoint"),
    (aiohttp.NonHttpUrlClientError, "this is not a URL of HTTP; check the endpoint"),
    (TooLarge, f"the answer is larger than {LARGEST_REPLY} bytes; check that this is a registry's API"),
    (OSError, "the connection was lost{detail}; try again"),
    (aiohttp.ClientError, "the exchange failed; try again"),
)
# By OpenSSL's X509_V_ERR_: what is wrong is not who issued it.
_CERTIFICATES = {
    9: "its certificate is not valid yet{detail}; check this machine's clock",
    10: "its certificate has expired{detail}; have it renewed, or check this machine's clock",
    62: "its certificate is for another name{detail}; use a name that the certificate has",
    64: "its certificate is for another address{detail}; use a name that the certificate has",
}
# What the next try would meet as well.
_PERMANENT = (PrivateAddress, TooLarge, ssl.CertificateError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
# What may be raised where a request is sent or its answer is read.
NETWORK_ERRORS = (aiohttp.ClientError, http.client.HTTPException, OSError)


def reason(error: BaseException, config: TransferConfig) -> str:
    """Return the meaning of a network exception, and what to do about it."""
    error = _root(error)
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    text = _CERTIFICATES.get(code or 0) or next(text for kinds, text in _REASONS if isinstance(error, kinds))
    detail = _detail(error)
    return text.format(
        detail=f" ({detail})" if detail else "", connect=config.connect_timeout, read=config.read_timeout
    )


def is_permanent(error: BaseException) -> bool:
    """Return whether the same request cannot succeed soon."""
    match _root(error):
        case aiohttp.ClientHttpProxyError(status=status) | ProxyRefused(status=status):
            return not may_pass(status)
        case cause:
            return isinstance(cause, _PERMANENT)


def may_pass(status: int) -> bool:
    """Return whether a refusal with this status may be another answer soon, whoever gives it."""
    return status in {408, 429} or status >= 500


def is_unresolved(error: BaseException) -> bool:
    """Return whether a name led to no address."""
    return isinstance(_root(error), (aiohttp.ClientConnectorDNSError, socket.gaierror))


def is_no_tls(error: BaseException) -> bool:
    """Return whether the other side does not speak TLS: OpenSSL then misreads the answer as a record."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else _root(error)
    return isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}


def _root(error: BaseException) -> BaseException:
    """Return the exception that says most."""
    match error:
        case Dropped() if error.__cause__ is not None:
            return error.__cause__
        case aiohttp.ClientConnectorDNSError(os_error=PrivateAddress() as cause):
            return cause
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as cause):
            return cause
        case NotConnected(cause=(PrivateAddress() | socket.gaierror() | ssl.CertificateError()) as cause):
            return cause
        case NotConnected(cause=TimeoutError()):
            return aiohttp.ConnectionTimeoutError()
        case _:
            return error


def _detail(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case (
            aiohttp.ClientConnectorError(os_error=ssl.SSLError(reason=str(text)))
            | TlsRefused(cause=ssl.SSLError(reason=str(text)))
        ):
            return text.lower().replace("_", " ")
        case aiohttp.ClientHttpProxyError(status=status) | ProxyRefused(status=status):
            return str(status)
        # What an error of TLS has for a number is none of the system's.
        case OSError(errno=int(number)) if number > 0 and not isinstance(error, ssl.SSLError):
            return os.strerror(number).lower()
        case _:
            return ""
