"""
What this machine could do at best, so that a number can be judged: bytes through a bare socket pair, and through one
sha256. No tool can be faster than the slower of the two without leaving something out.
"""

import socket
import threading
import time
from hashlib import sha256

from benchmarks.values import MIB

_AMOUNT = 256 * MIB
_TRIES = 3
_BLOCK = bytes(range(256)) * 4096


def rates() -> dict[str, float]:
    """Return bytes a second of each ceiling, at best: what else the machine does lowers it."""
    ceilings = {"socket": _socket_seconds, "sha256": _sha256_seconds}
    return {name: _AMOUNT / min(measure() for _ in range(_TRIES)) for name, measure in ceilings.items()}


def seconds(size: int, rates: dict[str, float]) -> dict[str, float]:
    """How long so many bytes take at each of the rates; nothing for no bytes."""
    return {name: size / rate for name, rate in rates.items()} if size else {}


def _socket_seconds() -> float:
    near, far = socket.socketpair()
    with near, far:

        def send() -> None:
            for _ in range(_AMOUNT // MIB):
                near.sendall(_BLOCK)

        sender = threading.Thread(target=send)
        room, left = bytearray(MIB), _AMOUNT
        began = time.monotonic()
        sender.start()
        while left:
            left -= far.recv_into(room)
        sender.join()
        return time.monotonic() - began


def _sha256_seconds() -> float:
    hasher = sha256()
    began = time.monotonic()
    for _ in range(_AMOUNT // MIB):
        hasher.update(_BLOCK)
    return time.monotonic() - began
