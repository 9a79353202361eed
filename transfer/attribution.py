"""The side that an error happened on, put in where a client that serves both could not know it. Does nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from transfer.errors import Side, TransferError


@contextmanager
def attributed_to(side: Side) -> Iterator[None]:
    """Name the side of every error that passes and has none yet."""
    try:
        yield
    except TransferError as error:
        error.side = error.side or side
        raise
