"""`transfer mirror --dry-run` as people and programs read it, and repositories that a mirror creates."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command, served
from tests.support.mirrors import writes
from transfer.server import Server
from transfer.testing.images import ImageBuilder

LOGIN = ("--src-creds", "transfer:transfer")
COUNT = 25


@pytest.fixture
def source(registry: Server, command: Command, layout: ImageBuilder) -> Iterator[str]:
    """A repository of another registry with some tags of one image."""
    image = layout.image([5000])
    with served() as server:
        place = f"{server.url.removeprefix('http://')}/app"
        for number in range(COUNT):
            command.ok("push", image.source, f"{place}:v{number}", "--dest-creds", "transfer:transfer", "--quiet")
        yield place


def test_a_dry_run_shows_what_would_move_and_writes_nothing(
    source: str, registry: Server, command: Command, tmp_path: Path
) -> None:
    failures = tmp_path / "failed.jsonl"
    failures.write_text(f'{{"target": "{registry.registry}/copy:v1"}}\n')
    arguments = ("mirror", source, f"{registry.registry}/copy", "--all-tags", *LOGIN, "--create-repository")
    ended = command(*arguments, "--dry-run", "--failures", failures)
    assert (ended.code, ended.err.splitlines()[-1].partition(", ")[0]) == (0, "1 image: 1 planned")
    assert failures.exists()

    ended = command(*arguments, "--dry-run")
    assert ended.code == 0, ended.err
    assert writes(registry) == []
    header, *rows = ended.out.splitlines()
    assert header.split()[0] == "STATUS"
    assert [row.split()[0] for row in rows[:COUNT]] == ["planned"] * COUNT
    (first,) = [row for row in rows[COUNT:] if "CreateRepository" in row]
    assert first.endswith(
        "2 InitiateLayerUpload, 2 UploadLayerPart, 2 CompleteLayerUpload, 1 PutImage, 1 CreateRepository, "
        "its repository would be created"
    )
    assert sum(line.endswith(" to send, 0 B there") or "to send" in line for line in ended.err.splitlines()[:-1]) == 1
    assert f"{COUNT} images: {COUNT} planned, " in ended.err
    assert "to send, at least 2 s by ECR's quotas" in ended.err


def test_a_dry_run_is_json_for_programs(source: str, registry: Server, command: Command) -> None:
    arguments = ("mirror", source, f"{registry.registry}/copy", "--tags", "v1", *LOGIN, "--json", "--quiet")
    missing = command(*arguments, "--dry-run")
    assert (missing.code, json.loads(missing.out)["counts"]) == (1, {"failed": 1})
    report = json.loads(command.ok(*arguments, "--dry-run", "--create-repository"))
    (image,) = report["images"]
    assert (image["status"], report["quota_seconds"]) == ("planned", 0.1)
    assert image["calls"]["PutImage"] == 1
    assert image["uploaded"]["size"] > 5000
    assert image["uploaded"]["count"] >= 2
    assert writes(registry) == []


def test_a_mirror_creates_the_repository_that_is_missing(source: str, registry: Server, command: Command) -> None:
    arguments = ("mirror", source, f"{registry.registry}/copy", "--all-tags", *LOGIN, "--no-journal", "--quiet")
    assert command(*arguments).code == 1
    command.ok(*arguments, "--create-repository")
    assert registry.requests.count("CreateRepository") == 1
    assert len(command.ok("tags", f"{registry.registry}/copy").split()) == COUNT


def test_a_dry_run_is_not_repeated(command: Command) -> None:
    ended = command("mirror", "alpine:3", "registry.example/alpine", "--watch", "1h", "--dry-run")
    assert ended.code == 2
    assert "--watch and --dry-run exclude each other" in ended.err
