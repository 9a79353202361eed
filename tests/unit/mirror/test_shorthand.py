"""What people write for short in a configuration, and what they leave unquoted."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from transfer.mirror import CreateRepository, MirrorRule, Prune, TagFilter
from transfer.mirror.config.load import check_config, load_config


def rule(tmp_path: Path, text: str) -> MirrorRule:
    file = tmp_path / "mirror.yaml"
    file.write_text(f"mappings:\n  - source: a.example/app\n    targets: b.example/app\n{text}")
    return load_config(file, environment={}).mappings[0]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("v1", (TagFilter(exact=("v1",)),)),
        ("1.20", (TagFilter(exact=("1.20",)),)),
        ("'v1.*'", (TagFilter(glob=("v1.*",)),)),
        ("'>=1.2 <2'", (TagFilter(semver=(">=1.2 <2",)),)),
        ("[v1, 'v2*', ^3.1]", (TagFilter(exact=("v1",), glob=("v2*",), semver=("^3.1",)),)),
        ("[v1, {regex: x.*}]", (TagFilter(exact=("v1",)), TagFilter(regex=("x.*",)))),
        ("{glob: 'v*'}", (TagFilter(glob=("v*",)),)),
    ],
)
def test_tags_are_names_patterns_or_versions(tmp_path: Path, written: str, expected: tuple[TagFilter, ...]) -> None:
    assert rule(tmp_path, f"    tags: {written}\n").tags == expected


@pytest.mark.parametrize(
    ("word", "create", "prune"), [("yes", CreateRepository(), Prune()), ("false", None, Prune(enabled=False))]
)
def test_yes_and_no_stand_for_settings(
    tmp_path: Path, word: str, create: CreateRepository | None, prune: Prune
) -> None:
    found = rule(
        tmp_path, f"    tags: {{glob: '*'}}\n    create: {word}\n    prune: {word}\ndefaults: {{create: true}}\n"
    )
    assert (found.create, found.prune) == (create, prune)


def test_https_before_a_host_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "mirror.yaml"
    file.write_text(
        "registries: {'https://a.example': {anonymous: true}}\n"
        "mappings: {source: https://a.example/app, targets: [https://b.example/app, c.example/app]}\n"
    )
    config = load_config(file, environment={})
    assert config.mappings[0].source == "a.example/app"
    assert config.mappings[0].targets == ("b.example/app", "c.example/app")
    assert list(config.registries) == ["a.example"]


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("    targets: {name}\n", "quote it: '{name}'"),
        ("    targets: {namespace}-{name}\n", "quote a text that begins with '{'"),
        ("    targets: x\n    tags: *\n", "quote a text that begins with '*'"),
        ("    targets: x\n    tags: *-rc\n", "quote a text that begins with '*'"),
        ("    targets: x\n    tags: [@a]\n", "quote a text that begins with '@'"),
    ],
)
def test_what_must_be_quoted_is_said(tmp_path: Path, written: str, advice: str) -> None:
    file = tmp_path / "mirror.yaml"
    file.write_text(f"mappings:\n  - source: a.example/app\n{written}")
    assert any(one.reason.endswith(advice) for one in check_config(file, environment={}).mistakes)


def test_an_empty_file_says_what_a_file_needs(tmp_path: Path) -> None:
    file = tmp_path / "mirror.yaml"
    file.write_text("# nothing yet\n")
    (mistake,) = check_config(file, environment={}).mistakes
    assert mistake.reason.startswith("it is empty: write mappings, as in: mappings: [{source: alpine")


def test_the_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"mappings: {source: a.example/app, targets: b.example/app, tags: v1}\n"

    class Bytes(io.BytesIO):
        def fileno(self) -> int:
            return sys.__stdin__.fileno() if sys.__stdin__ else 0

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Bytes(text)))
    assert load_config("-", environment={}).mappings[0].source == "a.example/app"
