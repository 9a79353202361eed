"""What the spelling of a source, a target or a repository means."""

from pathlib import Path

import pytest

from transfer.endpoints.locations import (
    DaemonLocation,
    EcrLocation,
    ImageLocation,
    RegistryLocation,
    check_apart,
    locate_image,
    locate_login,
    locate_repository,
    locate_source,
    locate_target,
    mount_source,
)
from transfer.errors import InvalidReference
from transfer.local.reference import LocalReference
from transfer.model.digest import Digest
from transfer.model.reference import Reference
from transfer.registry.ecr.host import EcrHost

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
HOST = EcrHost("123456789012", "us-east-1")
DIGEST = Digest.of(b"image")


def image(tag: str | None = None, digest: Digest | None = None) -> EcrLocation:
    return EcrLocation(Reference(REGISTRY, "team/app", tag, digest), HOST)


def at(address: str, repository: str, tag: str | None = None, digest: Digest | None = None) -> EcrLocation:
    return EcrLocation(Reference(address, repository, tag, digest), EcrHost(None, None, address=address))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("oci:build", LocalReference("oci", Path("build"), None)),
        ("oci:build/x:v1", LocalReference("oci", Path("build/x"), "v1")),
        (f"oci:build@{DIGEST}", LocalReference("oci", Path("build"), DIGEST)),
        ("ocidir://build/x:v1", LocalReference("oci", Path("build/x"), "v1")),
        ("oci-archive:app.tar", LocalReference("oci-archive", Path("app.tar"), None)),
        ("oci-archive:/a/app.tar:v1", LocalReference("oci-archive", Path("/a/app.tar"), "v1")),
        ("docker-archive:app.tar:app:v1", LocalReference("docker-archive", Path("app.tar"), "app:v1")),
        ("docker-archive:-:app:v1", LocalReference("docker-archive", None, "app:v1")),
        ("oci-archive:-", LocalReference("oci-archive", None, None)),
        ("-", LocalReference("docker-archive", None, None)),
        (f"{REGISTRY}/team/app", image("latest")),
        (f"{REGISTRY}/team/app:v1", image("v1")),
        (f"docker://{REGISTRY}/team/app@{DIGEST}", image(digest=DIGEST)),
        (f"{REGISTRY}/team/app:v1@{DIGEST}", image("v1", DIGEST)),
        (f"ecr://{REGISTRY}/team/app:v1", image("v1")),
        ("ecr://127.0.0.1:5000/app:v1", at("127.0.0.1:5000", "app", "v1")),
        (f"ecr://Mirror.example/team/app@{DIGEST}", at("mirror.example", "team/app", None, DIGEST)),
        ("alpine", RegistryLocation(Reference("docker.io", "library/alpine", "latest"))),
        ("docker://ghcr.io/team/app:v1", RegistryLocation(Reference("ghcr.io", "team/app", "v1"))),
    ],
)
def test_a_source_is_read(text: str, place: ImageLocation) -> None:
    assert locate_source(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "./build",
        "/abs/build",
        "containers-storage:app",
        "docker-daemon:",
        "docker-daemon:App",
        "dir:build",
        "oci-archive:",
        "docker-archive::x",
        "a b/c",
        "ecr:127.0.0.1:5000/app",
        "ecr://app",
        "ecr:///app",
        "ecr://me@127.0.0.1:5000/app",
        "ecr://docker://127.0.0.1:5000/app",
        f"ecr://{REGISTRY}.evil.example/app",
    ],
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        locate_source(text)
    assert caught.value.side == "source"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{REGISTRY}/team/app", image("latest")),
        (f"docker://{REGISTRY}/team/app:v1", image("v1")),
        ("ecr://127.0.0.1:5000/app", at("127.0.0.1:5000", "app", "latest")),
        ("localhost:5000/app:v1", RegistryLocation(Reference("localhost:5000", "app", "v1"))),
        ("oci:build:v1", LocalReference("oci", Path("build"), "v1")),
        ("oci-archive:app.tar:v1", LocalReference("oci-archive", Path("app.tar"), "v1")),
        ("-", LocalReference("docker-archive", None)),
        ("docker-archive:x.tar", LocalReference("docker-archive", Path("x.tar"))),
        ("docker-archive:x.tar:app", LocalReference("docker-archive", Path("x.tar"), "app:latest")),
        ("docker-archive:x.tar:host:5000/app:v1", LocalReference("docker-archive", Path("x.tar"), "host:5000/app:v1")),
        ("docker-daemon:app", DaemonLocation("app:latest")),
        ("docker-daemon:host:5000/app:v1", DaemonLocation("host:5000/app:v1")),
    ],
)
def test_a_target_is_read(text: str, place: ImageLocation) -> None:
    assert locate_target(text) == place


@pytest.mark.parametrize(
    "text",
    ["", "app:v1", "./build", f"{REGISTRY}/App", f"{REGISTRY}.evil.example/app", "docker-archive:x.tar:App", "oci:"],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        locate_target(text)
    assert caught.value.side == "target"


@pytest.mark.parametrize(
    "host",
    [
        f"{REGISTRY}.evil.example",
        f"{REGISTRY}@evil.example",
        f"evil.example@{REGISTRY}",
        f"{REGISTRY}.",
        f"{REGISTRY}:443",
        f"{REGISTRY}:5000",
        f"{REGISTRY}:443@evil.example",
        REGISTRY.replace("amazonaws.com", "amazonaws.example"),
        REGISTRY.replace("us-east-1", "us-nowhere"),
        REGISTRY.replace(".dkr.ecr.", ".dkr-ecr."),
        REGISTRY.replace("123456789012", "1234"),
        REGISTRY.replace("amazonaws", "am\u0430zonaws"),
        f"{REGISTRY}%2eevil.example",
        f"{REGISTRY}\n.evil.example",
    ],
)
@pytest.mark.parametrize("scheme", ["", "docker://", "ecr://"])
@pytest.mark.attack("lookalike-ecr-host")
def test_what_merely_looks_like_a_host_of_ecr_is_no_registry_at_all(scheme: str, host: str) -> None:
    for read in (locate_source, locate_target, locate_repository, locate_login):
        with pytest.raises(InvalidReference):
            read(f"{scheme}{host}/team/app")


def test_a_host_of_ecr_in_capitals_is_that_host() -> None:
    assert locate_target(f"{REGISTRY.upper()}/team/app:v1") == image("v1")


@pytest.mark.parametrize(
    ("text", "repository"),
    [(REGISTRY, ""), (f"docker://{REGISTRY}", ""), (f"ecr://{REGISTRY}/team/app", "team/app")],
)
def test_a_login_is_for_a_registry_or_for_a_repository(text: str, repository: str) -> None:
    assert locate_login(text) == EcrLocation(Reference(REGISTRY, repository), HOST)


def test_a_repository_has_neither_tag_nor_digest() -> None:
    assert locate_repository(f"{REGISTRY}/team/app") == image()
    with pytest.raises(InvalidReference, match="without a tag or digest"):
        locate_repository(f"{REGISTRY}/team/app:v1")


def test_what_is_deleted_is_named_by_tag_or_digest() -> None:
    assert locate_image(f"{REGISTRY}/team/app@{DIGEST}").choice == DIGEST
    assert locate_image(f"{REGISTRY}/team/app:v1").choice == "v1"
    with pytest.raises(InvalidReference, match="name a tag or a digest"):
        locate_image(f"{REGISTRY}/team/app")


def test_an_image_is_not_copied_onto_itself() -> None:
    check_apart(image("v1"), image("v2"))
    with pytest.raises(InvalidReference, match="the same image"):
        check_apart(image("v1"), image("v1"))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("r.example/app:v1", "docker://r.example/app:v1"),
        ("r.example/app", "r.example/app:latest"),
        ("r.example/app:v1", "R.Example/app:v1"),
        ("r.example:443/app:v1", "r.example/app:v1"),
        ("alpine:3", "docker.io/library/alpine:3"),
        ("alpine:3", "docker.io/alpine:3"),
        ("library/alpine:3", "index.docker.io/library/alpine:3"),
        ("docker.io/alpine", "docker://Index.Docker.io/alpine:latest"),
        (f"{REGISTRY}/app:v1", f"ecr://{REGISTRY.upper()}/app:v1"),
        ("ecr://127.0.0.1:5000/app:v1", "127.0.0.1:5000/app:v1"),
        (f"r.example/app@{DIGEST}", f"r.example/app@{DIGEST}"),
        ("oci:build:v1", "ocidir://build:v1"),
    ],
)
def test_an_image_is_known_in_every_spelling(source: str, target: str) -> None:
    with pytest.raises(InvalidReference, match="the same image"):
        check_apart(locate_source(source), locate_target(target))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("r.example/app:v1", "r.example:5000/app:v1"),
        ("r.example/app:v1", "r.example/app:V1"),
        (f"r.example/app:v1@{DIGEST}", "r.example/app:v1"),
        ("oci:build:v1", "oci-archive:build:v1"),
    ],
)
def test_different_images_are_not_taken_for_one(source: str, target: str) -> None:
    check_apart(locate_source(source), locate_target(target))
    assert locate_source(source) != locate_target(target)


def test_blobs_are_mounted_within_one_registry_only() -> None:
    here, there = (RegistryLocation(Reference("r.example", name, "v1")) for name in ("here", "there"))
    assert mount_source(here, there) == "here"
    assert mount_source(here, here) is None
    assert mount_source(RegistryLocation(Reference("other.example", "here", "v1")), there) is None
    assert mount_source(image("v1"), there) is None
    assert mount_source(LocalReference("oci", Path("build")), there) is None


def test_what_was_written_is_spelled_by_digest() -> None:
    assert image("v1").spelled(DIGEST) == f"{REGISTRY}/team/app@{DIGEST}"
    assert at("127.0.0.1:5000", "app", "v1").spelled(DIGEST) == f"ecr://127.0.0.1:5000/app@{DIGEST}"
    assert LocalReference("oci", Path("build"), "v1").spelled(DIGEST) == f"oci:build@{DIGEST}"


def test_a_target_names_a_tag_or_the_digest_it_must_have() -> None:
    assert image("v1", DIGEST).named == ("v1", DIGEST)
    assert LocalReference("oci", Path("build"), "v1").named == ("v1", None)
    assert LocalReference("oci", Path("build"), DIGEST).named == (None, DIGEST)
