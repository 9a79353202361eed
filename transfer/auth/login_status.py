"""
Whether a login works: what was found out, and the one order in which it is.

Moves nothing and changes nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from transfer.errors import CredentialsMissing, InvalidConfig, TransferError, Unauthorized

State = Literal["ok", "refused", "missing", "failed"]
Permission = Literal["login", "pull"]

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStatus:
    """
    Whether a login works at a registry.

    Attributes:
        registry: its host.
        repository: the one that was asked about; None for the registry alone.
        state: `ok`; `refused`, for the named user; `missing` where credentials are needed and none were found; `failed`
            where no answer tells.
        user: who the registry was told, the account at ECR; None for nobody, or where that is not told.
        source: where that was found: a file, the program of a helper, `given`, `AWS (env)` and the like, `anonymous`.
        permission: the most that was tried and allowed: `login` at the registry, `pull` from the repository.
        expires_at: when the login ends, where that is known.
        detail: the reason for every state but `ok`, on one line.
    """

    registry: str
    repository: str | None
    state: State
    user: str | None
    source: str
    permission: Permission | None
    expires_at: datetime | None = None
    detail: str | None = None


class Tried(msgspec.Struct, frozen=True):
    """The permissions that were confirmed, and the error that ended the check."""

    permission: Permission | None
    error: TransferError | None

    @property
    def detail(self) -> str | None:
        return None if self.error is None else str(self.error)

    def state(self, *, somebody: bool) -> State:
        """Return the state of a login; `somebody` where credentials were sent."""
        match self.error:
            case None:
                return "ok"
            case CredentialsMissing():
                return "missing"
            case Unauthorized():
                return "refused" if somebody else "missing"
            case _:
                return "failed"


async def try_each(questions: Mapping[Permission, Callable[[], Awaitable[object]]]) -> Tried:
    """
    Ask until something is refused.

    Raises:
        InvalidConfig: a setting is wrong, which says nothing of the login.
    """
    allowed: Permission | None = None
    for permission, ask in questions.items():
        try:
            await ask()
        except InvalidConfig:
            raise
        except TransferError as error:
            return Tried(allowed, error)
        allowed = permission
    return Tried(allowed, None)
