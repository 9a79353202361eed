"""The table of known attacks: every row is a test, or says why it cannot apply."""

import re
from pathlib import Path

from tests.support.attacks import NOT_APPLICABLE, ROWS

MARK = re.compile(r"@pytest\.mark\.attack\(([^)]*)\)")


def test_every_row_is_a_test_or_says_why_not() -> None:
    texts = [file.read_text() for file in Path(__file__).parent.parent.rglob("test_*.py")]
    marked = {row for text in texts for match in MARK.finditer(text) for row in re.findall(r'"([^"]+)"', match[1])}

    assert marked - ROWS.keys() == set()
    assert NOT_APPLICABLE.keys() - ROWS.keys() == set()
    assert ROWS.keys() - marked == NOT_APPLICABLE.keys()
