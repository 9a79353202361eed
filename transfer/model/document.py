"""
Strict reading of JSON documents that arrive from outside.

One way in for manifests, indexes and layout files, so that size, depth, duplicate keys, trailing data and numbers out
of range are refused in one place.
"""

import json
from typing import Any, NoReturn, TypeVar

import msgspec

from transfer.errors import InvalidDigest
from transfer.model.digest import Digest

T = TypeVar("T")

# The largest manifest that ECR (model: imageManifest) and the other large registries take.
MAX_DOCUMENT_BYTES = 4_194_304
_LONGEST_KEY_SHOWN = 80


class DocumentError(ValueError):
    """Why a document was refused, for the caller to say of what."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            shown = key if len(key) <= _LONGEST_KEY_SHOWN else key[:_LONGEST_KEY_SHOWN] + "…"
            raise DocumentError(f"the key {shown!r} occurs twice in one object")
        members[key] = value
    return members


def _refuse_constant(text: str) -> NoReturn:
    raise DocumentError(f"{text} is not JSON")


def load(raw: bytes) -> dict[str, Any]:
    """
    Read one JSON object from UTF-8 bytes.

    Raises:
        DocumentError: too large, not UTF-8, not one JSON object, a key twice in one object, nested too deep.
    """
    members = _parse(raw)
    if not isinstance(members, dict):
        raise DocumentError("it is not a JSON object")
    return members


def load_list(raw: bytes) -> list[Any]:
    """
    Read one JSON array from UTF-8 bytes, as strictly as `load` reads an object.

    Raises:
        DocumentError: too large, not UTF-8, not one JSON array, a key twice in one object, nested too deep.
    """
    members = _parse(raw)
    if not isinstance(members, list):
        raise DocumentError("it is not a JSON array")
    return members


def _parse(raw: bytes) -> Any:
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"it is {len(raw)} bytes, more than {MAX_DOCUMENT_BYTES}")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError("it is nested too deep") from None
    except ValueError as error:
        raise DocumentError(f"it is not JSON: {error}") from None


def convert(members: Any, kind: type[T]) -> T:
    """
    Check loaded JSON against a type.

    Raises:
        DocumentError: a member is missing, of the wrong type or out of range; the message holds its path.
    """
    try:
        return msgspec.convert(members, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise DocumentError(str(error)) from None


def _decode(kind: type, value: object) -> object:
    if kind is Digest:
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        try:
            return Digest(value)
        except InvalidDigest as error:
            raise ValueError(str(error)) from None
    raise NotImplementedError(kind)
