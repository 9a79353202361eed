"""YAML as text with line numbers, and what is not let in."""

import pytest

from transfer.mirror.config.document import read_document
from transfer.mirror.diagnostics import Diagnostic, spelled

TAG = "a YAML tag is not allowed; quote a text that begins with '!'"


def test_every_scalar_stays_as_it_was_written() -> None:
    text = "tags: [3.10, 0x1F, yes, 1_000, 2026-11-24, '~', \"null\", latest]\nempty:\nnothing: ~\nnull_: null\n"
    assert read_document(text).value == {
        "tags": ["3.10", "0x1F", "yes", "1_000", "2026-11-24", "~", "null", "latest"],
        "empty": None,
        "nothing": None,
        "null_": None,
    }


def test_json_is_read_too_and_an_empty_file_is_nothing() -> None:
    assert read_document('{"a": [1, true, null, {"b": "c"}]}').value == {"a": ["1", "true", None, {"b": "c"}]}
    assert read_document("# nothing\n").value is None


def test_places_know_their_lines() -> None:
    lines = read_document("a:\n  - x\n  - b: 1\n    c:\n      d\n").lines
    assert [lines[path] for path in (("a",), ("a", 0), ("a", 1, "b"), ("a", 1, "c"))] == [1, 2, 3, 4]


def test_merged_keys_give_way_to_own_ones_and_to_earlier_ones() -> None:
    text = """
a: &a {x: 1, y: 1}
b: &b {y: 2, z: 2}
one: {<<: *a, y: own}
two: {<<: [*a, *b]}
"""
    value = read_document(text).value
    assert value["one"] == {"x": "1", "y": "own"}
    assert value["two"] == {"x": "1", "y": "1", "z": "2"}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", Diagnostic(("b", "c"), "the key is here twice", 4)),
        (
            "a: !!python/object:os.system x\n",
            Diagnostic(("a",), TAG, 1),
        ),
        ("a: !env X\n", Diagnostic(("a",), TAG, 1)),
        ("a: !!set {x}\n", Diagnostic(("a",), TAG, 1)),
        ("? [a]\n: 1\n", Diagnostic((), "a key is a list or a mapping", 1)),
        ("<<: 1\n", Diagnostic((), "'<<' takes a mapping", 1)),
        ("a: &a [*a]\n", Diagnostic((), "it is nested more than 50 deep")),
        ("[" * 5000, Diagnostic((), "it is nested too deeply")),
        ("a: \x01\n", Diagnostic((), "it is not YAML: it has a character that is not printable")),
        (
            "a: *nowhere\n",
            Diagnostic((), "it is not YAML: an alias has no anchor; quote a text that begins with '*'", 1),
        ),
        (
            "a: 1\n---\nb: 2\n",
            Diagnostic((), "it is not YAML: expected a single document in the stream, but found another document", 2),
        ),
    ],
)
def test_what_is_not_let_in_is_named_with_its_line(text: str, mistake: Diagnostic) -> None:
    assert read_document(text).mistakes == [mistake]


def test_all_mistakes_are_named_at_once() -> None:
    assert [mistake.line for mistake in read_document("a: !x 1\nb: 2\nb: 3\nc: !y 4\n").mistakes] == [1, 3, 4]


@pytest.mark.attack("CVE-2020-14343")
def test_a_document_that_grows_by_aliases_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    document = read_document("\n".join(rows))
    assert document.value is None
    assert document.mistakes == [
        Diagnostic((), "it has more than 100000 values, those of its aliases counted each time")
    ]


def test_a_syntax_error_is_named_with_its_line_and_without_the_text_around_it() -> None:
    document = read_document("password: hunter2\nb: [\n")
    assert document.mistakes[0].line == 3
    assert "hunter2" not in document.mistakes[0].reason


def test_a_path_is_spelled_as_people_write_it() -> None:
    assert spelled(("mappings", 0, "tags", "semver", 1)) == "mappings[0].tags.semver[1]"
    assert spelled(("registries", "docker.io", "password")) == "registries[docker.io].password"
    assert spelled(("a\nb",)) == "['a\\nb']"
    assert spelled(()) == ""
