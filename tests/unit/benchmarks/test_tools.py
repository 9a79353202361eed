"""Command lines of other tools, and the access log of docker-registry."""

from typing import Any

import pytest

from benchmarks.clients.tools import Move, command
from benchmarks.network.link_check import Measured, complaint, deviations
from benchmarks.registries.access_log import kinds
from benchmarks.values import Link

LAYOUT: dict[str, Any] = {"source": "/tmp/layout", "target": "127.0.0.1:2/app", "tags": ["v0"], "plain_source": False}
BETWEEN: dict[str, Any] = {"source": "127.0.0.1:1/app", "target": "127.0.0.1:2/app", "tags": ["v0", "v1"]}
PUSH = Move(do="push", plain_target=True, **LAYOUT)
PUSH_TLS = Move(do="push", plain_target=False, **LAYOUT)
COPY = Move(do="copy", plain_source=True, plain_target=False, **BETWEEN)
MIRROR = Move(do="mirror", plain_source=True, plain_target=True, **BETWEEN)


@pytest.mark.parametrize(
    ("tool", "move", "words"),
    [
        ("transfer", PUSH, "transfer push --quiet --dest-plain-http oci:/tmp/layout:v0 127.0.0.1:2/app:v0"),
        ("transfer", COPY, "transfer copy --quiet --src-plain-http 127.0.0.1:1/app:v0 127.0.0.1:2/app:v0"),
        (
            "transfer",
            MIRROR,
            "transfer mirror --quiet --src-plain-http --dest-plain-http 127.0.0.1:1/app 127.0.0.1:2/app --all-tags",
        ),
        (
            "skopeo",
            PUSH,
            (
                "skopeo copy --insecure-policy --quiet --preserve-digests --dest-tls-verify=false "
                "oci:/tmp/layout:v0 docker://127.0.0.1:2/app:v0"
            ),
        ),
        (
            "skopeo",
            COPY,
            (
                "skopeo copy --insecure-policy --quiet --preserve-digests --src-tls-verify=false "
                "docker://127.0.0.1:1/app:v0 docker://127.0.0.1:2/app:v0"
            ),
        ),
        (
            "skopeo",
            MIRROR,
            (
                "skopeo sync --insecure-policy --preserve-digests --src-tls-verify=false --dest-tls-verify=false "
                "--src=docker --dest=docker 127.0.0.1:1/app 127.0.0.1:2"
            ),
        ),
        ("crane", PUSH, "crane push /tmp/layout 127.0.0.1:2/app:v0"),
        ("crane", COPY, "crane copy 127.0.0.1:1/app:v0 127.0.0.1:2/app:v0"),
        ("crane", MIRROR, "crane copy --all-tags 127.0.0.1:1/app 127.0.0.1:2/app"),
        (
            "regctl",
            PUSH,
            "regctl --host=reg=127.0.0.1:2,tls=disabled image copy ocidir:///tmp/layout:v0 127.0.0.1:2/app:v0",
        ),
        ("regctl", PUSH_TLS, "regctl image copy ocidir:///tmp/layout:v0 127.0.0.1:2/app:v0"),
        ("oras", PUSH, "oras cp --from-oci-layout --to-plain-http /tmp/layout:v0 127.0.0.1:2/app:v0"),
        ("oras", COPY, "oras cp --from-plain-http 127.0.0.1:1/app:v0 127.0.0.1:2/app:v0"),
    ],
)
def test_each_tool_is_told_as_its_manual_says(tool: str, move: Move, words: str) -> None:
    told_ = command(tool, move)
    assert " ".join(told_).endswith(words if tool == "transfer" else words.partition(" ")[2])


@pytest.mark.parametrize("tool", ["regctl", "oras"])
def test_a_tool_that_knows_no_repositories_mirrors_one_tag_after_the_other(tool: str) -> None:
    *_, flag, script = command(tool, MIRROR)
    assert flag == "-ec"
    assert [line.split()[-1] for line in script.splitlines()] == ["127.0.0.1:2/app:v0", "127.0.0.1:2/app:v1"]


def test_transfer_alone_takes_the_options_of_a_scenario() -> None:
    move = Move(do="push", plain_target=True, options=["--jobs", "1"], **LAYOUT)
    assert [word for word in command("transfer", move) if word in ("--jobs", "1")] == ["--jobs", "1"]
    assert "--jobs" not in command("skopeo", move)


def test_requests_are_counted_by_kind_in_an_access_log() -> None:
    log = """\
127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "skopeo/1.9.3"
127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "HEAD /v2/a/b/blobs/sha256:00 HTTP/1.1" 404 157 "" ""
127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "HEAD /v2/a/b/blobs/sha256:01 HTTP/2.0" 404 157 "" ""
127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "POST /v2/a/b/blobs/uploads/?mount=sha256%3A0&from=c HTTP/1.1" 201 0 "" ""
127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "PUT /v2/a/b/blobs/uploads/x?_state=1&digest=d HTTP/1.1" 201 0 "" ""
time="2026-11-24T15:00:00Z" level=error msg="not \\"GET /v2/ HTTP/1.1\\" at all"
127.0.0.1 - - [24/Nov/2026:15:00:00 +0000] "GET /metrics HTTP/1.1" 404 0 "" ""
"""
    assert kinds(log.splitlines()) == {
        "GetBase": 1,
        "HeadBlob": 2,
        "MountBlob": 1,
        "PutUpload": 1,
        "GET elsewhere": 1,
    }


@pytest.mark.parametrize(
    ("measured", "wrong"),
    [
        (Measured(40, 50, 200), []),
        (Measured(47.9, 41, 200), []),
        (Measured(48.1, 50, 200), ["round trip ms is 48.1, set to 40"]),
        (Measured(31, 50, 200), ["round trip ms is 31.0, set to 40"]),
        (Measured(40, 39, 0), ["MB/s a connection is 39.0, set to 50"]),
    ],
)
def test_a_link_is_refused_when_it_is_off_by_more_than_a_fifth(measured: Measured, wrong: list[str]) -> None:
    assert deviations(Link(round_trip_ms=40, connection_mb_per_second=50), measured) == wrong


def test_a_link_says_what_it_is_and_what_it_was_set_to() -> None:
    line = complaint(Link(round_trip_ms=40), Measured(40.6, 209.1, 796.8))
    assert line == (
        "round trip ms 40.6 (set to 40), MB/s a connection 209.1 (as fast as it goes), "
        "MB/s in all 796.8 (as fast as it goes)"
    )
