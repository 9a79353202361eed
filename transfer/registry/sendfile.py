"""
A part of a file over a connection, by the kernel: nothing of it comes into this process.

Works beside the event loop's own transport, on a duplicate of its descriptor, while that one has nothing to write.
Knows neither HTTP nor where files come from.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transfer.engine.tasks import outlast

# A socket that is read as fast as it is written takes all at once, and nobody can stop it meanwhile.
_STEP_BYTES = 4 * 1024 * 1024


def is_available() -> bool:
    """Whether this system can do it."""
    return hasattr(os, "sendfile")


async def send_file(connection: int, file: int, first: int, end: int, *, moved: Callable[[], None]) -> int:
    """
    Send the bytes [first, end) of a file over a connection without TLS; where it stopped, which is where the file ends.

    Args:
        connection, file: descriptors.
        moved: called after each of the steps that it is done in.

    Raises:
        ConnectionError: the other side is gone.
        OSError: the file cannot be read.
    """
    position = first
    with _duplicate(connection) as out:
        while position < end:
            wanted = min(_STEP_BYTES, end - position)
            sent = await _send(out, file, position, wanted)
            moved()
            if sent == 0:
                break
            position += max(sent, 0)
            if sent < wanted:
                await _until_writable(out)
    return position


@contextmanager
def _duplicate(descriptor: int) -> Iterator[int]:
    """Event loops watch a descriptor for one purpose only, and a transport may close its own at any time."""
    copy = os.dup(descriptor)
    try:
        yield copy
    finally:
        os.close(copy)


async def _send(out: int, file: int, position: int, count: int) -> int:
    """The bytes sent, -1 where there is no room for any; in a thread, since a disk may be waited for."""
    sending = asyncio.get_running_loop().run_in_executor(None, os.sendfile, out, file, position, count)
    try:
        # Which needs both descriptors until it ends.
        return await outlast(sending)
    except BlockingIOError:
        return -1


async def _until_writable(out: int) -> None:
    loop, writable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(out, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(out)
