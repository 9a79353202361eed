"""What a trimmed image became, remembered."""

import pytest

from tests.support.remembering import Dictionary
from transfer.model.digest import Digest
from transfer.model.platform import parse_platform
from transfer.state.trimmed_images import recall_trimmed, remember_trimmed

INDEX, TRIMMED = Digest.of(b"index"), Digest.of(b"trimmed")
AMD, ARM = parse_platform("linux/amd64"), parse_platform("linux/arm64")


async def test_it_is_told_by_image_and_platforms_in_any_order() -> None:
    memory = Dictionary()
    await remember_trimmed(memory, INDEX, [AMD, ARM], TRIMMED)
    assert await recall_trimmed(memory, INDEX, [ARM, AMD, ARM]) == TRIMMED
    assert await recall_trimmed(memory, INDEX, [AMD]) is None
    assert await recall_trimmed(memory, TRIMMED, [AMD, ARM]) is None


@pytest.mark.parametrize("damage", [b"", b"sha256:12", b"\xff\xfe"])
async def test_what_is_no_digest_is_as_good_as_nothing(damage: bytes) -> None:
    memory = Dictionary()
    await remember_trimmed(memory, INDEX, [AMD], TRIMMED)
    memory.kept = dict.fromkeys(memory.kept, damage)
    assert await recall_trimmed(memory, INDEX, [AMD]) is None
