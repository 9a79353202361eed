"""What is known to be at a target: when answers and uploads cross, and from one run to the next."""

import pytest

from tests.support.remembering import Dictionary
from transfer.model.digest import Digest
from transfer.state.presence_cache import KnownBlobs, packed, settle_known, unpacked

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


@pytest.mark.parametrize(
    ("known", "asked", "missing", "fresh", "left", "then"),
    [
        (set(), [A, B], {A}, False, {A}, {B}),
        ({A}, [A, B], {A, B}, False, {B}, {A}),
        ({A}, [A, B], {A}, True, {A}, {B}),
        ({C}, [A], set(), False, set(), {A, C}),
        ({A, B}, [A, B], {A, B}, True, {A, B}, set()),
    ],
)
def test_an_upload_meanwhile_counts_more_than_an_answer_unless_that_was_asked_anew(
    known: set[Digest], asked: list[Digest], missing: set[Digest], fresh: bool, left: set[Digest], then: set[Digest]
) -> None:
    assert settle_known(known, asked, missing, fresh=fresh) == left
    assert known == then


@pytest.mark.parametrize("digests", [set(), {A}, {A, B, C}])
def test_digests_are_packed_and_unpacked(digests: set[Digest]) -> None:
    assert unpacked(packed(digests)) == digests


def test_other_algorithms_are_left_out_and_other_bytes_are_nothing() -> None:
    assert unpacked(packed([A, Digest.of(b"a", "sha512")])) == {A}
    assert unpacked(b"x" * 33) == frozenset()


async def test_what_a_run_confirmed_is_trusted_by_the_next_one_alone() -> None:
    memory = Dictionary()
    first = KnownBlobs(memory)
    (await first.at("r/app", "me")).update({A, B})
    await first.save()
    second = KnownBlobs(memory)
    known = await second.at("r/app", "me")
    assert known == {A, B}
    assert await second.at("r/app", "another") == await second.at("r/other", "me") == set()
    known.add(C)
    await second.save()
    assert await KnownBlobs(memory).at("r/app", "me") == {C}


async def test_a_run_that_did_not_look_leaves_what_is_remembered() -> None:
    memory = Dictionary()
    first = KnownBlobs(memory)
    (await first.at("r/app", "")).add(A)
    await first.save()
    await KnownBlobs(memory).save()
    assert await KnownBlobs(memory).at("r/app", "") == {A}
