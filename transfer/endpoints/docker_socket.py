"""
The Docker Engine API of a daemon on this machine or elsewhere, as far as images are saved and loaded; Podman speaks it
too.

Sources: the Docker Engine API reference, "Images"; docker's documentation of DOCKER_HOST and of contexts.
"""

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from transfer.errors import ConnectionFailed, InvalidConfig, NotFound, RegistryError, TransferError
from transfer.http.messages import printable

_DEFAULT = "/var/run/docker.sock"
_PIECE = 256 * 1024
_LARGEST_ERROR = 64 * 1024
_CONNECT_SECONDS = 10.0


class DaemonAddress(msgspec.Struct, frozen=True):
    """
    Where a daemon listens.

    Attributes:
        url: `unix:///PATH`, or `tcp://HOST:PORT`.
        certificates: the folder of ca.pem, cert.pem and key.pem, where TLS is spoken.
        verify: check the daemon's certificate.
    """

    url: str
    certificates: Path | None = None
    verify: bool = True


class _Context(msgspec.Struct, rename="pascal"):
    name: str = ""
    endpoints: dict[str, dict[str, Any]] = {}


class _Config(msgspec.Struct, rename="camel"):
    current_context: str = ""


def find_daemon(environment: Mapping[str, str], home: Path) -> DaemonAddress:
    """
    Return the daemon that docker's own command line would speak to, else Podman's where only that is there.

    Raises:
        InvalidConfig: a context that is not there, or an address of another kind.
    """
    verify = environment.get("DOCKER_TLS_VERIFY", "") != ""
    folder = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    if host := environment.get("DOCKER_HOST"):
        spoken = verify or "DOCKER_TLS" in environment
        certificates = Path(environment.get("DOCKER_CERT_PATH") or folder) if spoken else None
        return _checked(DaemonAddress(host, certificates, verify), "DOCKER_HOST")
    name = environment.get("DOCKER_CONTEXT") or _current_context(folder / "config.json")
    if name and name != "default":
        return _checked(_context(folder / "contexts", name), f"the docker context {name!r}")
    runtime = environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    places = (_DEFAULT, f"{runtime}/podman/podman.sock", "/run/podman/podman.sock")
    return DaemonAddress(f"unix://{next((one for one in places if os.path.exists(one)), _DEFAULT)}")  # noqa: PTH110


def _current_context(file: Path) -> str:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Config).current_context
    except (OSError, msgspec.MsgspecError):
        return ""


def _context(folder: Path, name: str) -> DaemonAddress:
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        found = msgspec.json.decode((folder / "meta" / key / "meta.json").read_bytes(), type=_Context)
    except (OSError, msgspec.MsgspecError):
        raise InvalidConfig(f"the docker context {name!r} is not there: see docker context ls") from None
    endpoint = found.endpoints.get("docker", {})
    certificates = folder / "tls" / key / "docker"
    verify = not endpoint.get("SkipTLSVerify", False)
    return DaemonAddress(str(endpoint.get("Host", "")), certificates if certificates.is_dir() else None, verify)


def _checked(address: DaemonAddress, origin: str) -> DaemonAddress:
    kind = address.url.partition("://")[0]
    if kind not in {"unix", "tcp", "http", "https"} or not address.url.partition("://")[2]:
        raise InvalidConfig(f"{origin}: {address.url[:200]!r} is not supported: only unix:// and tcp:// are")
    return address


class DockerDaemon:
    """The calls to one daemon."""

    def __init__(self, address: DaemonAddress, session: aiohttp.ClientSession, base: str) -> None:
        self._address = address
        self._session = session
        self._base = base

    async def save(self, name: str, file: BinaryIO) -> None:
        """
        Write the archive of an image, as `docker save` does, into a file.

        Raises:
            NotFound: the daemon has no such image.
            TransferError: it cannot be reached, or refuses.
        """
        what = f"docker-daemon:{name}: save"
        with _translated(what, self._address):
            async with self._session.get(f"{self._base}/images/{quote(name, safe='')}/get") as reply:
                if reply.status != 200:
                    raise _error(what, reply.status, await reply.content.read(_LARGEST_ERROR))
                async for piece in reply.content.iter_chunked(_PIECE):
                    await asyncio.to_thread(file.write, piece)

    async def load(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """
        Have the daemon load an archive, as `docker load` does.

        Raises:
            TransferError: it cannot be reached, or refuses.
        """
        what = f"docker-daemon:{name}: load"
        headers = {"Content-Type": "application/x-tar"}
        with _translated(what, self._address):
            url = f"{self._base}/images/load?quiet=1"
            async with self._session.post(url, data=pieces, headers=headers) as reply:
                body = await reply.content.read(_LARGEST_ERROR)
                while await reply.content.read(_PIECE):
                    pass
                if reply.status != 200 or _told_error(body):
                    raise _error(what, reply.status, body)


@asynccontextmanager
async def open_daemon(address: DaemonAddress) -> AsyncIterator[DockerDaemon]:
    """
    Open connections to a daemon; no proxy is asked.

    Raises:
        InvalidConfig: its certificates cannot be read.
    """
    parts = urlsplit(address.url)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
    if parts.scheme == "unix":
        connector: aiohttp.BaseConnector = aiohttp.UnixConnector(address.url.removeprefix("unix://"))
        base = "http://docker"
    else:
        secure = address.certificates is not None or parts.scheme == "https"
        connector = aiohttp.TCPConnector(ssl=_trust(address) if secure else False)
        base = f"{'https' if secure else 'http'}://{parts.netloc}"
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
        yield DockerDaemon(address, session, base)


def _trust(address: DaemonAddress) -> ssl.SSLContext:
    context = ssl.create_default_context()
    folder = address.certificates
    try:
        if folder is not None and (folder / "ca.pem").exists():
            context.load_verify_locations(folder / "ca.pem")
        if folder is not None and (folder / "cert.pem").exists():
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfig(f"the docker daemon's certificates in {str(folder)!r} cannot be read: {error}") from None
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def _translated(what: str, address: DaemonAddress) -> Iterator[None]:
    """Turn what aiohttp raises into this package's errors."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = getattr(error, "strerror", None) or printable(str(error)) or type(error).__name__
        raise ConnectionFailed(
            f"{what}: the daemon at {address.url} cannot be reached or broke off: {reason}; "
            "check that it runs, and DOCKER_HOST",
            permanent=True,
        ) from None


def _told_error(body: bytes) -> bool:
    return b'"errorDetail"' in body or b'"error"' in body


def _error(what: str, status: int, body: bytes) -> TransferError:
    message = ""
    for line in body.splitlines():
        try:
            document = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(document, dict):
            detail = document.get("errorDetail")
            nested = detail.get("message") if isinstance(detail, dict) else None
            message = next((one for one in (nested, document.get("error"), document.get("message")) if one), message)
    text = printable(str(message))[:1000].rstrip(".") or f"the answer was {status}"
    if status == 404:
        return NotFound(f"{what}: {text}; see docker images", status=404, code="NO_SUCH_IMAGE")
    return RegistryError(f"{what}: {text}", status=status, code="DAEMON")
