"""How large chunks are."""

import pytest

from transfer.config import MIB
from transfer.registry.chunk_size import chunk_after_loss, is_slow, next_chunk


@pytest.mark.parametrize(
    ("before", "sent", "seconds", "expected"),
    [
        (8, 8 * MIB, 0.1, 32),
        (8, 8 * MIB, 0.0, 32),
        (5, 5 * MIB, 0.1, 20),
        (8, 8 * MIB, 8.0, 8),
        (8, 8 * MIB, 6.4, 10),
        (32, 32 * MIB, 16.0, 16),
        (32, 32 * MIB, 600.0, 5),
        # The end of a blob.
        (32, MIB, 0.1, 32),
        (32, MIB, 60.0, 32),
        (32, 20 * MIB, 16.0, 10),
    ],
)
def test_a_chunk_takes_about_eight_seconds(before: int, sent: int, seconds: float, expected: int) -> None:
    assert next_chunk(sent, seconds, before=before * MIB, largest=32 * MIB) == expected * MIB


def test_no_chunk_is_larger_than_is_allowed() -> None:
    assert next_chunk(65536, 600.0, before=8 * MIB, largest=65536) == 65536


def test_chunks_shrink_to_a_size_that_arrives_in_most_links() -> None:
    sizes = [32 * MIB]
    while chunk_after_loss(sizes[-1]) < sizes[-1]:
        sizes.append(chunk_after_loss(sizes[-1]))
    assert [size // MIB for size in sizes] == [32, 16, 8, 4]
    assert chunk_after_loss(1000) == 1000


@pytest.mark.parametrize(("seconds", "expected"), [(3.9, False), (4.0, True)])
def test_a_slow_chunk_may_have_a_connection_of_its_own(seconds: float, expected: bool) -> None:
    assert is_slow(seconds) is expected
