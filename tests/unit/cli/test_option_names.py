"""Options in messages, as the running command spells them."""

import pytest

from transfer.cli.display.option_names import note_sides, spelled
from transfer.errors import Side


@pytest.mark.parametrize(
    ("two", "side", "expected"),
    [
        (True, "target", "name it with --dest-ca FILE or --read-timeout"),
        (True, "source", "name it with --src-ca FILE or --read-timeout"),
        (True, None, "name it with --ca FILE or --read-timeout"),
        (False, "target", "name it with --ca FILE or --read-timeout"),
    ],
)
def test_an_option_gets_the_side_that_it_is_of(two: bool, side: Side | None, expected: str) -> None:
    note_sides(two=two)
    assert spelled("name it with --ca FILE or --read-timeout", side) == expected


def test_what_only_begins_like_one_stays() -> None:
    note_sides(two=True)
    assert spelled("--cache --dest-ca --creds-file x", "target") == "--cache --dest-ca --creds-file x"
