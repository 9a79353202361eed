"""
The one exception of the ECR API: what it answers instead of a result; `/v2/` has its own, in its own form.

Knows a code, a message, a status and the members that go with them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class ApiError(Exception):
    """
    A refusal as the API words it.

    `code` becomes `__type`, `members` stand beside `message` in the body. The service model gives no exception of ECR a
    status of its own, so all that a client can cause are 400.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members: Mapping[str, Any] = MappingProxyType(dict(members or {}))


def invalid_parameter(name: str, constraint: str) -> ApiError:
    """Return a field outside its rule, worded as ECR words it."""
    return ApiError(
        "InvalidParameterException", f"Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'"
    )


def not_json(reason: str) -> ApiError:
    """Return a body that is not the JSON document of its operation."""
    return ApiError("SerializationException", reason)


def throttled() -> ApiError:
    """Too many requests of an operation: not in the service model, and the spelling that AWS's own clients know."""
    return ApiError("ThrottlingException", "Rate exceeded")
