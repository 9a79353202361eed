"""`transfer copy` as people type it: several targets, and what goes with an image."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.command import Command, served
from transfer.server import Server
from transfer.testing.images import ImageBuilder

LOGIN = ("--src-creds", "transfer:transfer", "--dest-creds", "transfer:transfer")


@pytest.fixture
def registries() -> Iterator[list[str]]:
    """Hosts of three embedded registries."""
    with ExitStack() as stack:
        servers: list[Server] = [stack.enter_context(served()) for _ in range(3)]
        yield [server.url.removeprefix("http://") for server in servers]


def test_one_image_goes_to_several_targets(command: Command, registries: list[str], layout: ImageBuilder) -> None:
    image = layout.image()
    targets = [f"{host}/app:v1" for host in registries]
    ended = command("copy", *LOGIN, image.source, targets[0], "--to", targets[1], "--to", targets[2])
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [f"{host}/app@{image.root.digest}" for host in registries]
    assert [line.partition(": ")[0] for line in ended.err.splitlines() if "present 0" in line][-3:] == targets


def test_a_target_that_fails_is_told_and_the_others_are_done(
    command: Command, registries: list[str], layout: ImageBuilder
) -> None:
    image = layout.image()
    good, unreachable = f"{registries[0]}/app:v1", "127.0.0.1:9/app:v1"
    ended = command("copy", *LOGIN, image.source, unreachable, "--to", good)
    assert (ended.code, ended.out.strip()) == (1, f"{registries[0]}/app@{image.root.digest}")
    assert "transfer: HEAD" in ended.err
    assert "127.0.0.1:9" in ended.err
    failed, done = json.loads(command("copy", *LOGIN, image.source, unreachable, "--to", good, "--json").out)
    error = failed["error"]
    assert (failed["target"], error["class"], error["side"]) == (unreachable, "ConnectionFailed", "target")
    assert (done["target"], done["present"]["count"]) == (good, len(image.blobs))


def test_signatures_and_referrers_go_along_when_asked_for(
    command: Command, registries: list[str], layout: ImageBuilder
) -> None:
    image = layout.image()
    signature = layout.image(seed=5, sizes=(300,), tag=f"{image.root.digest.as_tag}.sig")
    sbom = layout.referrer(image.root)
    one, two, three = (f"{host}/app:v1" for host in registries)
    command.ok("push", "--dest-creds", "transfer:transfer", image.source, one, "--referrers")
    command.ok("copy", *LOGIN, one, two, "--referrers")
    found = json.loads(command.ok("inspect", two, "--creds", "transfer:transfer", "--json"))
    assert [referrer["digest"] for referrer in found["referrers"]] == [sbom.root.digest]
    tags = command.ok("tags", two.rpartition(":")[0], "--creds", "transfer:transfer").split()
    assert sorted(tags) == sorted(["v1", signature.tag or ""])
    result = json.loads(command.ok("copy", *LOGIN, two, three, "--referrers", "--json"))
    assert sorted(result["attached"]) == sorted([signature.root.digest, sbom.root.digest])
    command.ok("copy", *LOGIN, two, three.replace("app:", "other:"))
    assert command.ok("tags", f"{registries[2]}/other", "--creds", "transfer:transfer").split() == ["v1"]
