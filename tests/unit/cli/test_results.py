"""What commands print of their results."""

import base64
import errno
import json
import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from transfer.cli.commands.ecr.access import password
from transfer.cli.commands.ecr.images import availability_rows, image_id, image_row
from transfer.cli.commands.ecr.session import batches, merge, print_json
from transfer.cli.commands.serve import refusal, request_line
from transfer.cli.commands.serve.env_file import exports
from transfer.cli.display.text import json_text
from transfer.cli.options.copy_options import outcome_document, summary
from transfer.engine.result import BlobResult, PushResult
from transfer.errors import InvalidDigest, TransferError
from transfer.model.descriptor import OCI_LAYER_GZIP
from transfer.model.digest import Digest
from transfer.server import RequestRecord

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


def result(*blobs: BlobResult, retries: int = 0) -> PushResult:
    return PushResult(digest=A, reference=f"registry.example/app@{A}", blobs=blobs, retries=retries, seconds=12.34)


def blob(status: str, size: int, **members: int) -> BlobResult:
    return BlobResult(digest=B, size=size, media_type=OCI_LAYER_GZIP, status=status, **members)  # type: ignore[arg-type]  # from tables


@pytest.mark.parametrize(
    ("pushed", "line"),
    [
        (result(), "uploaded 0 blobs; present 0 blobs; 12.3 s"),
        (
            result(blob("uploaded", 2_000_000), blob("uploaded", 500), blob("present", 3_000_000)),
            "uploaded 2 blobs (2.00 MB); present 1 blob (3.00 MB); 12.3 s",
        ),
        (
            result(blob("resumed", 9_000_000, sent=2_000_000, resumed=7_000_000), retries=2),
            "uploaded 0 blobs; present 0 blobs; resumed 1 blob (9.00 MB), 7.00 MB of it sent before; 2 retries; 12.3 s",
        ),
    ],
)
def test_a_push_ends_with_one_line_of_what_it_did(pushed: PushResult, line: str) -> None:
    assert summary(pushed) == line


def test_the_result_as_json_has_totals_and_blobs() -> None:
    pushed = result(blob("uploaded", 5, sent=5), blob("present", 7))
    document = json.loads(json_text(outcome_document("registry.example/app:v1", pushed)))
    assert document["reference"] == f"registry.example/app@{A}"
    assert document["uploaded"] == {"count": 1, "size": 5}
    assert document["present"] == {"count": 1, "size": 7}
    assert [entry["status"] for entry in document["blobs"]] == ["uploaded", "present"]


def test_the_environment_can_be_evaluated_by_a_shell() -> None:
    lines = exports({"A": "http://127.0.0.1:1", "B": "a b; rm"})
    assert lines == "export A=http://127.0.0.1:1\nexport B='a b; rm'"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EADDRINUSE, "x"), "address already in use; choose another with --port, or --port 0"),
        (PermissionError(errno.EACCES, "x"), "permission denied; ports below 1024"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "cannot assign requested address; --host takes an address"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known; --host takes an address"),
    ],
)
def test_an_address_that_cannot_be_listened_on_says_what_to_do(error: OSError, line: str) -> None:
    assert str(refusal("host:1", error)).startswith(f"cannot listen on host:1: {line}")


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "Permission denied", "/data"), OSError(errno.ENOSPC, "No space left")]
)
def test_an_error_about_a_file_is_not_blamed_on_the_address(error: OSError) -> None:
    assert refusal("host:1", error) is None


def test_a_request_is_one_line_without_control_characters() -> None:
    record = RequestRecord(
        operation="UploadLayerPart",
        repository="app",
        status=400,
        code="InvalidLayerPartException",
        upload_id="u",
        first_byte=0,
        last_byte=9,
        tag="v\x1b[1m",
    )
    line = "400 UploadLayerPart app tag=v[1m upload=u bytes=0-9 error=InvalidLayerPartException"
    assert request_line(record) == line


@pytest.mark.parametrize(
    ("text", "expected"), [("v1", {"imageTag": "v1"}), (A, {"imageDigest": A}), ("sha256-x", {"imageTag": "sha256-x"})]
)
def test_an_image_is_named_by_tag_or_digest(text: str, expected: dict[str, str]) -> None:
    assert image_id(text) == expected


def test_a_digest_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidDigest):
        image_id("sha256:abc")


def test_an_image_is_a_row_that_can_be_cut_by_spaces() -> None:
    image = {
        "imageDigest": A,
        "imageTags": ["v1", "latest"],
        "imageSizeInBytes": 12_345_678,
        "imagePushedAt": datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC),
    }
    assert image_row(image) == (A, "v1,latest", "12.3MB", "2026-01-31T12:00:00+00:00")
    assert image_row({"imageDigest": B}) == (B, "", "", "")


def test_availability_has_a_row_for_each_digest_asked_for() -> None:
    answer: dict[str, list[dict[str, Any]]] = {
        "layers": [
            {"layerDigest": B, "layerAvailability": "AVAILABLE", "layerSize": 0, "mediaType": "x/y"},
        ],
        "failures": [{"layerDigest": C, "failureCode": "InvalidLayerDigest", "failureReason": "no"}],
    }
    assert availability_rows([A, B, C], answer) == [
        (A, "UNAVAILABLE", "", ""),
        (B, "AVAILABLE", "0B", "x/y"),
        (C, "InvalidLayerDigest", "", ""),
    ]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_long_lists_go_a_hundred_at_a_time(count: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(range(count))] == sizes


def test_answers_to_batches_become_one() -> None:
    assert merge([{"a": [1], "b": []}, {"a": [2, 3]}], "a", "b") == {"a": [1, 2, 3], "b": []}


def test_an_answer_is_printed_without_metadata_and_with_times_in_iso_8601(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"createdAt": datetime(2026, 1, 31, tzinfo=UTC), "name": "ü", "ResponseMetadata": {"RequestId": "1"}})
    assert json.loads(capsys.readouterr().out) == {"createdAt": "2026-01-31T00:00:00+00:00", "name": "ü"}


def test_the_password_is_what_follows_the_user_in_the_token() -> None:
    assert password(base64.b64encode(b"AWS:pass:word").decode()) == "pass:word"


@pytest.mark.parametrize("token", ["", "%%%", base64.b64encode(b"bob:x").decode(), base64.b64encode(b"AWS:").decode()])
def test_a_token_of_another_form_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(TransferError) as refused:
        password(token)
    assert not token or token not in str(refused.value)
