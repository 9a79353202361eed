"""The options that messages name, as the running command spells them."""

import re
from contextvars import ContextVar

from transfer.errors import Side

_two_sides: ContextVar[bool] = ContextVar("two_sides", default=False)
_OF_ONE_SIDE = re.compile(r"(?<![\w-])--(?=(?:ca|cert|creds|key|plain-http|token-host)(?![\w-]))")
_PREFIXES: dict[Side, str] = {"source": "--src-", "target": "--dest-"}


def note_sides(*, two: bool) -> None:
    """Note whether the running command has the options of a registry once, or for source and target each."""
    _two_sides.set(two)


def spelled(text: str, side: Side | None) -> str:
    """Return a message with the options of that side: `--dest-ca` instead of `--ca`, say."""
    if side is None or not _two_sides.get():
        return text
    return _OF_ONE_SIDE.sub(_PREFIXES[side], text)
