"""Content that is not what its digest says: who finds it out, at what cost, and what is left of it."""

import pytest

from tests.support.quirky import on, quirky, refuse
from tests.support.scripted import answer
from tests.support.uploads import MIB, push
from transfer.errors import ContentMismatch
from transfer.local.layout.source import LayoutSource
from transfer.model.descriptor import Descriptor
from transfer.testing.images import BuiltImage
from transfer.testing.memory import MemorySource

# In chunks, and in one piece.
both_ways = pytest.mark.parametrize("threshold", [0, 8 * MIB])


def damaged(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@both_ways
async def test_a_damaged_file_is_refused_once_and_then_looked_at_instead_of_sent(
    image: BuiltImage, layer: Descriptor, threshold: int
) -> None:
    image.file(layer).write_bytes(damaged(image.content(layer)))
    async with quirky() as peer:
        with pytest.raises(ContentMismatch, match=layer.digest.encoded) as caught:
            await push(peer, LayoutSource(image.path), layer, threshold=threshold)
    assert caught.value.side == "source"
    assert (peer.lines.count("POST uploads"), peer.lines.count("PUT upload"), peer.lines[-1]) == (1, 1, "DELETE upload")
    assert (peer.blobs, peer.sessions) == ({}, {})


@both_ways
@pytest.mark.attack("wrong-redirect")
async def test_damaged_content_from_afar_is_read_once_more_and_its_last_byte_never_sent(
    image: BuiltImage, layer: Descriptor, threshold: int
) -> None:
    source = MemorySource()
    source.blobs[layer.digest] = damaged(image.content(layer))
    async with quirky() as peer:
        with pytest.raises(ContentMismatch, match=layer.digest.encoded) as caught:
            await push(peer, source, layer, threshold=threshold)
    assert caught.value.side == "source"
    assert (source.calls["open_blob"], peer.lines.count("POST uploads"), peer.lines[-1]) == (2, 2, "DELETE upload")
    assert (peer.blobs, peer.sessions) == ({}, {})


async def test_a_small_damaged_blob_is_found_out_before_the_registry_is_told_all_of_it(image: BuiltImage) -> None:
    blob = min(image.blobs, key=lambda one: one.size)
    image.file(blob).write_bytes(damaged(image.content(blob)))
    async with quirky() as peer:
        with pytest.raises(ContentMismatch, match=blob.digest.encoded) as caught:
            await push(peer, LayoutSource(image.path), blob, threshold=8 * MIB)
    assert (caught.value.side, peer.blobs, peer.sessions) == ("source", {}, {})


# Some registries keep the last chunk only: before the registry is blamed, the blob is sent in one piece.
@pytest.mark.parametrize(("threshold", "tries"), [(0, 3), (8 * MIB, 2)])
async def test_a_registry_that_spoils_what_it_was_sent_is_named_in_the_end(
    image: BuiltImage, layer: Descriptor, threshold: int, tries: int
) -> None:
    async with quirky(on("PUT upload", refuse(400, "DIGEST_INVALID"))) as peer:
        with pytest.raises(ContentMismatch, match="other bytes than were sent") as caught:
            await push(peer, LayoutSource(image.path), layer, threshold=threshold)
    assert (caught.value.side, peer.lines.count("PUT upload")) == ("target", tries)


@both_ways
async def test_a_registry_that_spoils_it_once_gets_it_again(
    image: BuiltImage, layer: Descriptor, threshold: int
) -> None:
    async with quirky(on("PUT upload", refuse(400, "DIGEST_INVALID"), times=1)) as peer:
        await push(peer, LayoutSource(image.path), layer, threshold=threshold)
    assert peer.blobs[layer.digest] == image.content(layer)


@pytest.mark.attack("content-digest")
async def test_a_registry_that_stores_something_else_is_found_out(image: BuiltImage, layer: Descriptor) -> None:
    other = "sha256:" + "0" * 64
    async with quirky(on("PUT upload", answer(201, b"", Docker_Content_Digest=other))) as peer:
        with pytest.raises(ContentMismatch, match=other) as caught:
            await push(peer, LayoutSource(image.path), layer)
    assert caught.value.side == "target"
