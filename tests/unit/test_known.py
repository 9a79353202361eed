"""What is known to be at a target, when answers and uploads cross."""

import pytest

from transfer.model.digest import Digest
from transfer.registry.known import settle_known

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
