"""One spelling for one thing, and those of other tools where they mean the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command, served
from transfer.testing.images import ImageBuilder


@pytest.fixture
def host() -> Iterator[str]:
    with served() as server:
        yield server.url.removeprefix("http://")


@pytest.mark.parametrize("prefix", ["--", "--dest-"])
def test_a_push_has_one_registry(host: str, prefix: str, command: Command, layout: ImageBuilder) -> None:
    image = layout.image(tag="v1")
    login = (f"{prefix}creds", "transfer:transfer", f"{prefix}plain-http", "--no-journal")
    assert command.ok("push", image.source, f"{host}/app:v1", *login).startswith(f"{host}/app@")


@pytest.mark.parametrize("prefix", ["--", "--src-"])
def test_a_pull_has_one_registry(
    host: str, prefix: str, command: Command, layout: ImageBuilder, tmp_path: Path
) -> None:
    image = layout.image(tag="v1")
    command.ok("push", image.source, f"{host}/app:v1", "--creds", "transfer:transfer", "--no-journal")
    login = (f"{prefix}creds", "transfer:transfer", f"{prefix}plain-http", "--no-journal")
    assert command.ok("pull", f"{host}/app:v1", f"oci:{tmp_path / 'out'}:v1", *login)


def test_skopeos_spellings_mean_the_same(layout: ImageBuilder, command: Command, tmp_path: Path) -> None:
    index = layout.index(tag="v1")
    one = command.ok("copy", index.source, f"oci:{tmp_path / 'a'}", "--platform", "linux/arm64", "--no-journal")
    same = command.ok(
        *("copy", index.source, f"oci:{tmp_path / 'b'}", "--override-os", "linux", "--override-arch", "arm64"),
        *("--preserve-digests", "--no-journal"),
    )
    whole = command.ok("copy", "--all", index.source, f"oci:{tmp_path / 'c'}", "--no-journal")
    assert one.rpartition("@")[2] == same.rpartition("@")[2]
    assert whole.strip().endswith(index.root.digest)


def test_recursive_takes_referrers_along(layout: ImageBuilder, command: Command, tmp_path: Path) -> None:
    image = layout.image(tag="v1")
    signature = layout.referrer(image.root, tag="sig")
    copied = json.loads(command.ok("copy", "-r", image.source, f"oci:{tmp_path / 'out'}:v1", "--no-journal", "--json"))
    assert copied["attached"] == [signature.root.digest]
