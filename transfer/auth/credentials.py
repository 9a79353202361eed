"""
Logins: who to be at a registry, by what was given, by Docker's and Podman's files, by their credential helpers.

Sources: docker/cli's cli/config/configfile; containers-auth.json(5); docker/docker-credential-helpers. Files are read
anew each time, since they change while a long copy runs.
"""

import asyncio
import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from transfer.errors import CredentialsMissing, InvalidConfig
from transfer.model.reference import DOCKER_HUB

# A helper may ask a person, or a password store over the network.
_HELPER_SECONDS = 60.0
_LARGEST_FILE = 4 * 1024 * 1024
_LARGEST_ANSWER = 64 * 1024
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SERVER = re.compile(r"[A-Za-z0-9.:\[\]/_-]{1,512}")
# What helpers say when they have nothing (credentials/error.go of docker-credential-helpers).
_NOTHING = "credentials not found in native keychain"
_DOCKER_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB, "registry-1.docker.io")
# The user name by which a secret is said to be an identity token (docker/cli, credentials/native_store.go).
_TOKEN_USER = "<token>"  # noqa: S105 - a name, no secret


@dataclass(frozen=True, slots=True)
class Login:
    """
    Credentials for a registry.

    Attributes:
        username, password: for Basic, and for a token server.
        identity_token: what a token server takes instead of a password.
        expires_at: when the password ends, in seconds since the epoch; None where that is not known.
        origin: where it was found, for people.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    expires_at: float | None = None
    origin: str = field(default="", compare=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Logins(Protocol):
    """Finds credentials."""

    async def find(self, registry: str, repository: str) -> Login | None:
        """Return the credentials for a repository; None for anonymous access."""

    def forget(self, registry: str) -> None:
        """The registry refuses what was found as expired: look anew when asked again."""


class Anonymous:
    """Nobody anywhere."""

    async def find(self, registry: str, repository: str) -> Login | None:  # noqa: ARG002 - the protocol's signature
        return None

    def forget(self, registry: str) -> None:
        pass


class FixedLogin:
    """The same login at whatever registry is asked for: one was named for this end."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def find(self, registry: str, repository: str) -> Login | None:  # noqa: ARG002 - the protocol's signature
        return self._login

    def forget(self, registry: str) -> None:
        pass


def parse_login(text: str) -> Login:
    """
    Read `USER:PASSWORD`.

    Raises:
        InvalidConfig: it is not of this form; the text is not repeated.
    """
    username, colon, password = text.partition(":")
    if not colon or not username or not password or not text.isprintable():
        raise InvalidConfig("credentials: expected USER:PASSWORD, without control characters")
    return Login(username, password, origin="given")


def credential_files(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the files that hold logins, the first one to know a registry wins: Podman's order, Docker's file last."""
    files: list[Path] = []
    if named := environ.get("REGISTRY_AUTH_FILE"):
        files.append(Path(named))
    elif runtime := environ.get("XDG_RUNTIME_DIR"):
        files.append(Path(runtime) / "containers" / "auth.json")
    files.append(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json")
    files.append(Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json")
    return tuple(files)


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, Any] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = None


class StoredCredentials:
    """
    Logins of files and helpers.

    Args:
        files: instead of where Podman and Docker keep theirs.
    """

    def __init__(self, files: tuple[Path, ...] | None = None) -> None:
        self._files = credential_files(os.environ, Path.home()) if files is None else files

    async def find(self, registry: str, repository: str) -> Login | None:
        """
        Return the stored credentials; None where no file has the registry.

        Raises:
            InvalidConfig: a file that cannot be read, or a helper's name that is none.
            CredentialsMissing: a helper that is not there, or that fails.
        """
        for path in self._files:
            known = await asyncio.to_thread(_load, path)
            login = await _find(known, registry, repository, path) if known else None
            if login is not None:
                return login
        return None

    def forget(self, registry: str) -> None:
        pass


async def _find(known: _File, registry: str, repository: str, path: Path) -> Login | None:
    helpers = known.cred_helpers or {}
    for key in keys_of(registry):
        if key in helpers:
            return await _ask(helpers[key], key, path)
    if store := known.creds_store:
        # Helpers know Docker Hub by its old address alone.
        login = await _ask(store, keys_of(registry)[0], path)
        if login is not None:
            return login
    return choose_entry(known.auths or {}, registry, repository, path)


def choose_entry(auths: Mapping[str, Any], registry: str, repository: str, path: Path) -> Login | None:
    """
    Return the credentials in a file's `auths` for a repository, its folders or its registry.

    Raises:
        InvalidConfig: the entry cannot be read.
    """
    entries = {_normal(key): entry for key, entry in auths.items()}
    places = [f"{registry}/{repository}"]
    while "/" in places[-1]:
        places.append(places[-1].rpartition("/")[0])
    for place in (*places, *(_normal(key) for key in keys_of(registry))):
        entry = entries.get(place)
        if isinstance(entry, dict):
            login = _read_entry(entry, place, path)
            if login is not None:
                return login
    return None


def _read_entry(entry: Mapping[str, Any], place: str, path: Path) -> Login | None:
    """Return an entry may be empty: Docker leaves a mark where a helper has the secret."""
    flaw = InvalidConfig(f"{path}: the entry for {place} cannot be read; log in again")
    identity_token, username, password = (entry.get(name) or "" for name in ("identitytoken", "username", "password"))
    if auth := entry.get("auth"):
        try:
            text = base64.b64decode(str(auth).encode(), validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeError):
            raise flaw from None
        username, colon, password = text.partition(":")
        if not colon:
            raise flaw
    if not all(isinstance(one, str) for one in (identity_token, username, password)):
        raise flaw
    if identity_token or (username and password):
        return Login(username, password, identity_token, origin=str(path))
    return None


def keys_of(registry: str) -> tuple[str, ...]:
    """Return the names of a registry in credential files and helpers."""
    return _DOCKER_HUB_KEYS if registry == DOCKER_HUB else (registry, f"https://{registry}", f"https://{registry}/")


def _normal(key: str) -> str:
    """Return a key of `auths` without the scheme and the API version that older clients wrote."""
    return re.sub(r"(?:/v[12])?/?$", "", re.sub(r"^https?://", "", key)).lower()


def _load(path: Path) -> _File | None:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
    try:
        known = msgspec.json.decode(raw or b"{}", type=_File)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidConfig(f"{path}: it is no file of logins; correct it, or move it away") from None
    return known


async def _ask(helper: str, server: str, path: Path) -> Login | None:
    """Run `docker-credential-HELPER get`."""
    if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper) or not _SERVER.fullmatch(server):
        raise InvalidConfig(
            f"{path}: {str(helper)[:100]!a} for {server[:100]!a} is not the name of a credential helper"
        )
    program = f"docker-credential-{helper}"
    status, answer = await run_helper(helper, "get", server.encode(), path)
    if status:
        output = answer.decode("utf-8", "replace").strip()
        if output == _NOTHING:
            return None
        shown = " ".join(output.split())[:200]
        raise CredentialsMissing(f"{program} for {server}: it failed ({shown!a}); log in again, or correct {path}")
    try:
        found = msgspec.json.decode(answer, type=dict[str, Any])
        username, secret = found["Username"], found["Secret"]
    except (msgspec.DecodeError, KeyError, RecursionError):
        raise CredentialsMissing(f"{program} for {server}: its answer cannot be read; check the program") from None
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == _TOKEN_USER:
        return Login(identity_token=secret, origin=program)
    return Login(username, secret, origin=program)


async def run_helper(helper: str, action: str, given: bytes, path: Path) -> tuple[int, bytes]:
    """
    Run `docker-credential-HELPER ACTION`; return its exit status and output.

    It is ended when it takes too long or when nobody waits any more.

    Args:
        path: the file that names it.

    Raises:
        InvalidConfig: it is not the name of one.
        CredentialsMissing: it is not there, or does not answer.
    """
    if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper):
        raise InvalidConfig(f"{path}: {str(helper)[:100]!a} is not the name of a credential helper")
    program = f"docker-credential-{helper}"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            action,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LARGEST_ANSWER,
        )
    except OSError as error:
        reason = "is not installed" if isinstance(error, FileNotFoundError) else f"cannot be run: {error.strerror}"
        raise CredentialsMissing(f"{program}, which {path} names, {reason}; install it, or correct the file") from None
    try:
        async with asyncio.timeout(_HELPER_SECONDS):
            answer, _ = await process.communicate(given)
    except TimeoutError:
        raise CredentialsMissing(f"{program}: no answer within {_HELPER_SECONDS:g} s; check the program") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, answer[:_LARGEST_ANSWER]
