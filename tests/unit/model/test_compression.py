"""Streams that are compressed and decompressed: round trips, the same bytes always, and bombs."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable
from random import Random

import pytest
import zstandard

from transfer.compression import (
    BLOCK_BYTES,
    Compression,
    CompressionRefused,
    Decompressed,
    Decompression,
    blocks_of,
    compress,
    sniff,
)

MIB = 1024 * 1024
METHODS: list[Compression] = ["gzip", "zstd"]
CONTENT = Random(0).randbytes(MIB // 2) + bytes(2 * MIB) + Random(1).randbytes(MIB // 2 + 7)


def packed(content: bytes, method: Compression, threads: int | None = None) -> bytes:
    return b"".join(compress(blocks_of(io.BytesIO(content)), method, threads=threads))


def unpacked(stream: bytes, method: Decompression, **options: int) -> bytes:
    return b"".join(blocks_of(Decompressed(io.BytesIO(stream), method, **options)))


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(CONTENT)])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_compressed_comes_back(method: Compression, size: int) -> None:
    stream = packed(CONTENT[:size], method)

    assert unpacked(stream, method) == CONTENT[:size]
    assert sniff(stream[:6]) == method


def test_other_programs_can_read_it() -> None:
    assert gzip.decompress(packed(CONTENT, "gzip")) == CONTENT
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed(CONTENT, "zstd")) == CONTENT


@pytest.mark.parametrize("method", METHODS)
def test_the_bytes_are_the_same_with_any_number_of_threads(method: Compression) -> None:
    assert len({packed(CONTENT, method, threads) for threads in (1, 2, 5, None)}) == 1


def test_nothing_in_the_header_tells_when_or_where() -> None:
    assert packed(b"content", "gzip")[:10] == bytes.fromhex("1f8b08000000000000ff")


def test_a_block_is_compressed_with_what_comes_before_it() -> None:
    block = Random(2).randbytes(BLOCK_BYTES)
    repeated = block[:-30_000] + b"x" * 30_000

    assert len(packed(repeated + b"x" * 20_000 + block[:100], "gzip")) < len(packed(repeated, "gzip")) + 300


def test_blocks_are_not_read_further_ahead_than_there_are_threads() -> None:
    taken = 0

    def blocks() -> list[bytes]:
        nonlocal taken
        taken += 1
        return [os.urandom(BLOCK_BYTES)]

    stream = compress((block for _ in range(20) for block in blocks()), "gzip", threads=2)
    next(stream)
    next(stream)

    assert taken <= 4
    stream.close()  # type: ignore[attr-defined] # it is a generator


@pytest.mark.parametrize("method", METHODS)
def test_several_members_or_frames_are_one_content(method: Compression) -> None:
    assert unpacked(packed(b"one", method) + packed(b"", method) + packed(b"two", method), method) == b"onetwo"


@pytest.mark.parametrize("method", METHODS)
def test_damaged_streams_are_refused(method: Compression) -> None:
    stream = bytearray(packed(CONTENT, method))
    stream[len(stream) // 2] ^= 0xFF

    with pytest.raises(CompressionRefused, match="cannot be decompressed"):
        unpacked(bytes(stream), method)


def test_a_gzip_stream_that_is_cut_off_is_refused() -> None:
    with pytest.raises(CompressionRefused, match="cannot be decompressed"):
        unpacked(packed(CONTENT, "gzip")[:-9], "gzip")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.attack("compression-bombs")
def test_a_bomb_is_refused_before_it_has_gone_off(method: Compression) -> None:
    stream = packed(bytes(64 * MIB), method)

    with pytest.raises(CompressionRefused, match="100 times"):
        unpacked(stream, method, harmless=MIB)


@pytest.mark.parametrize("method", METHODS)
def test_zeros_of_a_harmless_size_are_no_bomb(method: Compression) -> None:
    assert unpacked(packed(bytes(8 * MIB), method), method) == bytes(8 * MIB)


@pytest.mark.attack("compression-bombs")
def test_a_bomb_of_many_members_is_one_bomb() -> None:
    with pytest.raises(CompressionRefused, match="100 times"):
        unpacked(gzip.compress(bytes(MIB)) * 20, "gzip", harmless=MIB)


@pytest.mark.attack("compression-bombs")
def test_a_zstd_window_of_2_gib_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=31, compression_level=1)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = stream.compress(bytes(100)) + stream.flush()

    with pytest.raises(CompressionRefused, match="cannot be decompressed"):
        unpacked(frame, "zstd")


OTHERS: dict[Decompression, Callable[[bytes], bytes]] = {"bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("method", OTHERS)
def test_streams_of_other_programs_are_read_in_blocks_that_are_full(method: Decompression) -> None:
    stream = OTHERS[method](CONTENT[: 2 * MIB]) + OTHERS[method](CONTENT[2 * MIB :])

    blocks = list(blocks_of(Decompressed(io.BytesIO(stream), method)))

    assert sniff(stream[:6]) == method
    assert b"".join(blocks) == CONTENT
    assert {len(block) for block in blocks[:-1]} == {BLOCK_BYTES}


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.attack("compression-bombs")
def test_a_bomb_of_other_programs_is_refused(method: Decompression) -> None:
    with pytest.raises(CompressionRefused, match="100 times"):
        unpacked(OTHERS[method](bytes(20 * MIB)), method, harmless=MIB)


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("damage", ["cut", "garbage", "behind"])
def test_a_damaged_stream_of_other_programs_is_refused(method: Decompression, damage: str) -> None:
    whole = OTHERS[method](CONTENT[:100_000])
    stream = {"cut": whole[:-20], "garbage": whole[:10] + b"x" * 200, "behind": whole + b"garbage" * 10}[damage]

    with pytest.raises(CompressionRefused, match="cannot be decompressed"):
        unpacked(stream, method)


def test_a_dictionary_of_xz_that_takes_a_gigabyte_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1024**3}]

    with pytest.raises(CompressionRefused, match="cannot be decompressed"):
        unpacked(lzma.compress(bytes(100), filters=filters), "xz")


@pytest.mark.parametrize("head", [b"", b"\x1f", b"oci-layout", zlib.compress(b"x")])
def test_what_is_not_compressed_is_not(head: bytes) -> None:
    assert sniff(head) is None
