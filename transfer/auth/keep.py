"""Logins kept in docker's file of them, or by the helper that it names for the registry."""

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transfer.auth.credentials import Login, keys_of, run_helper
from transfer.errors import CredentialsMissing, InvalidConfig


def docker_file(environ: Mapping[str, str], home: Path) -> Path:
    """Return the file that `docker login` writes."""
    return Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


async def keep_login(registry: str, login: Login, file: Path) -> str:
    """
    Keep a login, and return where: the file, or the helper's program.

    Raises:
        InvalidConfig: the file cannot be read or written.
        CredentialsMissing: the helper failed.
    """
    document = await asyncio.to_thread(_read, file)
    key = keys_of(registry)[0]
    if helper := _helper(document, registry):
        given = {"ServerURL": key, "Username": login.username, "Secret": login.password}
        program = await _helped(helper, "store", json.dumps(given), file)
        # As docker does, so that others know that there is a login.
        document.setdefault("auths", {})[key] = {}
    else:
        program = str(file)
        auth = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        document.setdefault("auths", {})[key] = {"auth": auth}
    await asyncio.to_thread(_write, file, document)
    return program


async def drop_login(registry: str, file: Path) -> bool:
    """
    Drop the login for a registry; False where there was none.

    Raises:
        InvalidConfig: the file cannot be read or written.
        CredentialsMissing: the helper failed.
    """
    document = await asyncio.to_thread(_read, file)
    auths = document.get("auths") or {}
    known = [key for key in keys_of(registry) if key in auths]
    if helper := _helper(document, registry):
        for key in known or keys_of(registry)[:1]:
            await _helped(helper, "erase", key, file)
    for key in known:
        del auths[key]
    if known:
        await asyncio.to_thread(_write, file, document)
    return bool(known)


def _helper(document: Mapping[str, Any], registry: str) -> str | None:
    helpers = document.get("credHelpers") or {}
    return next((helpers[key] for key in keys_of(registry) if key in helpers), document.get("credsStore"))


async def _helped(helper: str, action: str, given: str, file: Path) -> str:
    program = f"docker-credential-{helper}"
    status, answer = await run_helper(helper, action, given.encode(), file)
    if status:
        shown = " ".join(answer.decode("utf-8", "replace").split())[:200]
        raise CredentialsMissing(f"{program} {action}: it failed ({shown!a}); correct {file}, or the program")
    return program


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidConfig(f"{file}: cannot be read: {error.strerror}; check its permissions") from None
    except (ValueError, RecursionError):
        raise InvalidConfig(f"{file}: it is no file of logins; correct it, or move it away") from None
    if not isinstance(document, dict) or not isinstance(document.get("auths") or {}, dict):
        raise InvalidConfig(f"{file}: it is no file of logins; correct it, or move it away")
    return document


def _write(file: Path, document: Mapping[str, Any]) -> None:
    """Replace the file as a whole, readable by its owner alone."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = file.resolve()
        part = place.with_name(f".{place.name}.{os.getpid()}")
        with open(part, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as text:
            json.dump(document, text, indent="\t")
            text.write("\n")
        part.replace(place)
    except OSError as error:
        raise InvalidConfig(f"{file}: cannot be written: {error.strerror}") from None
