"""How local ends are spelled."""

from pathlib import Path

import pytest

from transfer.errors import InvalidReference
from transfer.local.reference import LocalKind, LocalReference, parse_local_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "kind", "path", "choice"),
    [
        ("oci:dir", "oci", "dir", None),
        ("oci:dir:v1", "oci", "dir", "v1"),
        (f"oci:dir@{DIGEST}", "oci", "dir", DIGEST),
        ("ocidir:///tmp/dir:v1", "oci", "/tmp/dir", "v1"),
        ("ocidir://dir", "oci", "dir", None),
        (f"ocidir://dir@{DIGEST}", "oci", "dir", DIGEST),
        ("oci-archive:a.tar", "oci-archive", "a.tar", None),
        ("oci-archive:/tmp/a.tar:v1", "oci-archive", "/tmp/a.tar", "v1"),
        ("oci-archive:a.tar:host:5000/app:v1", "oci-archive", "a.tar", "host:5000/app:v1"),
        (f"oci-archive:a.tar@{DIGEST}", "oci-archive", "a.tar", DIGEST),
        (f"oci-archive:a.tar:{DIGEST}", "oci-archive", "a.tar", DIGEST),
        (f"oci-archive:a@b.tar@{DIGEST}", "oci-archive", "a@b.tar", DIGEST),
        ("oci-archive:a@b.tar:v1", "oci-archive", "a@b.tar", "v1"),
        ("docker-archive:a.tar", "docker-archive", "a.tar", None),
        ("docker-archive:a.tar:app:v1", "docker-archive", "a.tar", "app:v1"),
        ("docker-archive:a.tar:docker.io/library/app:v1", "docker-archive", "a.tar", "docker.io/library/app:v1"),
        (f"docker-archive:a.tar:{DIGEST}", "docker-archive", "a.tar", DIGEST),
        ("-", "docker-archive", None, None),
        ("docker-archive:-:app:v1", "docker-archive", None, "app:v1"),
        ("oci-archive:-", "oci-archive", None, None),
    ],
)
def test_a_local_end_is_a_kind_a_path_and_a_choice(
    text: str, kind: LocalKind, path: str | None, choice: str | None
) -> None:
    found = parse_local_reference(text, side="source")

    assert found == LocalReference(kind, None if path is None else Path(path), choice)


@pytest.mark.parametrize(
    "text", ["", "app", "host.example/app:v1", "docker://host/app", "oci", "ecr://x", "--", "OCI:x"]
)
def test_another_end_is_none_of_them(text: str) -> None:
    assert parse_local_reference(text, side="target") is None


@pytest.mark.parametrize(
    "text",
    [
        *("oci:", "oci:dir:", "oci:dir\0:v1", "ocidir://", "ocidir://dir:", f"oci:@{DIGEST}", "oci:dir@sha256:abc"),
        *("oci-archive:", "oci-archive::v1", "oci-archive:a.tar:", "oci-archive:a\0.tar", f"oci-archive:@{DIGEST}"),
        *("docker-archive:", "docker-archive:a.tar:", "oci:dir:v1\n", "docker-archive:a.tar:app\x1b[31m"),
    ],
)
def test_a_malformed_local_end_is_refused_for_its_side_in_one_line(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_local_reference(text, side="target")

    assert caught.value.side == "target"
    assert str(caught.value).isprintable()
    assert repr(text) in str(caught.value)
