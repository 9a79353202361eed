"""TransferConfig: every limit, timeout and retry setting in one frozen value."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from transfer.errors import InvalidConfig

MIB = 1024 * 1024


def _check_rate(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise InvalidConfig(f"{name} is {value}: must be more than 0")


def state_without_secrets(value: Any, *secrets: str) -> list[object]:
    """
    Return the state of a frozen dataclass with slots, as pickle takes it.

    Raises:
        InvalidConfig: one of the secrets is set.
    """
    for name in secrets:
        if getattr(value, name) is not None:
            raise InvalidConfig(
                f"{type(value).__name__}: {name} is a secret and is not pickled; "
                "leave it out, so that the process that works with it finds its own"
            )
    return [getattr(value, one.name) for one in fields(value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """
    The limits of one registry's rates; None means no limit.

    Attributes:
        max_concurrent: requests at once, of those that read and of those that write; a blob that is being read counts
            until its first byte.
        max_per_second: requests a second.
        max_bandwidth: bytes of blobs a second, both ways together.

    Raises:
        InvalidConfig: one of them is not more than 0.
    """

    max_concurrent: int | None = None
    max_per_second: float | None = None
    max_bandwidth: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_concurrent", "max_per_second", "max_bandwidth"):
            _check_rate(name, getattr(self, name))


# As fast as it goes.
UNPACED = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """
    Limits of one engine.

    Peak memory of a push or copy, beyond the interpreter and its libraries (45 MiB, 60 with ECR), stays under

        max_bytes_in_flight  +  max_read_ahead_bytes  +  4 MiB

    whatever the size or the number of layers. Everything on its way takes its bytes from the one budget before it is
    read: a small blob its size, a large one into a registry 512 KiB (the buffer of its worker thread, and what its
    source has at hand), a part for ECR its size, from its reading until the registry has accepted it. A single part
    larger than the whole budget is let through alone. What is read ahead from a registry in ranges takes its bytes from
    a budget of its own as they arrive, or is not read. A blob on its way to several targets at once takes 2 MiB more
    for each of them, one on its way onto disk 256 KiB.

    Worker threads, beside those that asyncio keeps for short work, are at most

        2 * max_concurrent_blobs  for each target  +  8  for each registry that is read in ranges

    since a large blob has one thread that moves it, and another while it is asked for or, for ECR, while its next part
    is made; and at most 8 ranges are read at once from one registry, or one of each blob where there are more blobs.
    Each is gone when what it does is done.

    Attributes:
        large_blob_bytes: blobs above this many bytes move in worker threads, each over a connection of its own; smaller
            ones are held in memory and sent by the event loop.
        max_concurrent_blobs: blobs in work at once; small ones use it, large ones meet the byte budget first.
        max_bytes_in_flight: bytes of all parts that are read ahead or on the wire, as they are in the blob.
        max_read_ahead_bytes: bytes of large blobs that are read from registries before their turn, in parallel; 0 reads
            each blob in one stream.
        retry_for: seconds for which a request that fails is tried again without getting any further; 0 tries once.
        max_attempts: tries of one request at most, the first included; None is as many as `retry_for` allows.
        backoff_base, backoff_max: seconds; the wait before try n is random up to base * 2**n, at most max.
        connect_timeout: seconds until a connection stands.
        read_timeout: seconds without a byte from the registry; Complete of a large layer is hashed there first.
        upload_chunk_bytes: bytes of a chunk at most, where a registry takes blobs in chunks; those of a slow link take
            about eight seconds each. Each costs one round trip, and ECR and S3 want at least 5 MiB.
        upload_chunk_threshold: blobs up to this many bytes are sent in one request, and not resumed.
        max_bandwidth: bytes of blobs a second, from and to all registries together; None is as many as there come.
        hub_reserve: of the manifests that a registry says one may still pull, as Docker Hub does, how many are to be
            left; at that many, no more are asked for.
        wait_for_quota: wait until such a registry allows more pulls, instead of failing.
        patience: seconds that targets fed from one read wait for the slowest of them, before it reads on by itself.
        state_path: the journal's file; None for the platform's state folder.
        journal: False keeps no journal, so nothing is resumed.
    """

    large_blob_bytes: int = MIB
    max_concurrent_blobs: int = 32
    max_bytes_in_flight: int = 25 * MIB
    max_read_ahead_bytes: int = 14 * MIB
    retry_for: float = 300.0
    max_attempts: int | None = None
    backoff_base: float = 0.25
    backoff_max: float = 20.0
    connect_timeout: float = 15.0
    read_timeout: float = 300.0
    upload_chunk_bytes: int = 32 * MIB
    upload_chunk_threshold: int = 32 * MIB
    max_bandwidth: int | None = None
    hub_reserve: int = 0
    wait_for_quota: bool = False
    patience: float = 30.0
    state_path: Path | None = None
    journal: bool = True

    def __post_init__(self) -> None:
        for name in ("max_concurrent_blobs", "max_bytes_in_flight", "max_attempts", "upload_chunk_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidConfig(f"{name} is {getattr(self, name)}: must be at least 1")
        bytes_ = ("large_blob_bytes", "upload_chunk_threshold", "max_read_ahead_bytes")
        for name in ("retry_for", "backoff_base", "backoff_max", "hub_reserve", *bytes_):
            if getattr(self, name) < 0:
                raise InvalidConfig(f"{name} is {getattr(self, name)}: must not be negative")
        _check_rate("max_bandwidth", self.max_bandwidth)
        for name in ("connect_timeout", "read_timeout", "patience"):
            if getattr(self, name) <= 0:
                raise InvalidConfig(f"{name} is {getattr(self, name)}: must be more than 0 seconds")
