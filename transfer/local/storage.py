"""What the system says when it refuses to write: a disk that is full is not a name that is wrong."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from transfer.errors import InvalidLayout, Side, StorageFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def unwritable(message: str, error: OSError, side: Side) -> InvalidLayout:
    """Return the error for what cannot be written; `message` names it, and the system's reason is added."""
    kind = StorageFull if error.errno in _NO_ROOM else InvalidLayout
    return kind(f"{message}: {error.strerror or error}", side=side)


@contextmanager
def temporary_files(label: str) -> Iterator[None]:
    """
    Say where temporary files go if there is no room for one in this block.

    Raises:
        StorageFull: there is none.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        folder = tempfile.gettempdir()
        raise unwritable(f"{label}: no room in {folder!r}, set TMPDIR to another folder", error, "source") from None
