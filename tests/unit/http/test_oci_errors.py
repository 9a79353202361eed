"""What each refusal of a Distribution registry becomes."""

import json

import pytest

from transfer.concurrency.retry import retryable
from transfer.errors import BlobUnknown, NotFound, RateLimited, RegistryError, TagImmutable, Unauthorized, UploadLost
from transfer.http.messages import HttpResponse
from transfer.http.oci_errors import error_of, is_expired

WHAT = "PUT manifest v1 of r.example/app"


def refused(status: int, code: str, message: str = "it is so", **headers: str) -> RegistryError:
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": {"Tag": "v1"}}]}).encode()
    return error_of(
        WHAT, HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
    )


@pytest.mark.parametrize(
    ("status", "code", "kind", "again"),
    [
        (404, "BLOB_UNKNOWN", NotFound, False),
        (404, "MANIFEST_UNKNOWN", NotFound, False),
        (404, "NAME_UNKNOWN", NotFound, False),
        (404, "BLOB_UPLOAD_UNKNOWN", UploadLost, False),
        (400, "BLOB_UPLOAD_UNKNOWN", UploadLost, False),
        (404, "MANIFEST_BLOB_UNKNOWN", BlobUnknown, False),
        (400, "MANIFEST_BLOB_UNKNOWN", BlobUnknown, False),
        (400, "BLOB_UPLOAD_INVALID", RegistryError, False),
        (400, "DIGEST_INVALID", RegistryError, False),
        (400, "MANIFEST_INVALID", RegistryError, False),
        (400, "NAME_INVALID", RegistryError, False),
        (405, "UNSUPPORTED", RegistryError, False),
        (400, "TAG_INVALID", TagImmutable, False),
        (412, "PRECONDITION", TagImmutable, False),
        (400, "PRECONDITION", RegistryError, False),
        (401, "UNAUTHORIZED", Unauthorized, False),
        (403, "DENIED", Unauthorized, False),
        (403, "SOMETHING", Unauthorized, False),
        (404, "SOMETHING", NotFound, False),
        (429, "TOOMANYREQUESTS", RateLimited, True),
        (429, "SOMETHING", RateLimited, True),
        (503, "UNAVAILABLE", RegistryError, True),
        (500, "UNKNOWN", RegistryError, True),
        (408, "TIMEOUT", RegistryError, True),
    ],
)
def test_a_code_becomes_a_kind(status: int, code: str, kind: type[RegistryError], again: bool) -> None:
    error = refused(status, code)
    assert (type(error), error.status, error.code, retryable(error)) == (kind, status, code, again)
    assert error.details["detail"] == {"Tag": "v1"}


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "advice"),
    [
        # Harbor, Quay and Artifactory.
        (
            403,
            "DENIED",
            "adding 10 MiB of storage resource will exceed the configured upper limit",
            RegistryError,
            "quota",
        ),
        (403, "DENIED", "Quota has been exceeded on namespace", RegistryError, "larger quota"),
        (403, "", "storage limit of the project is reached", RegistryError, "larger quota"),
        (
            403,
            "DENIED",
            "the image cannot be pushed due to configured policy in 'Prevent images'",
            RegistryError,
            "rules",
        ),
        (403, "PROJECTPOLICYVIOLATION", 'current image with "High" vulnerabilities is blocked', RegistryError, "rules"),
        (403, "DENIED", "The repository is read-only during maintenance", RegistryError, "rules"),
        # A permission, whatever else is said.
        (403, "DENIED", "requested access to the resource is denied", Unauthorized, "check the credentials"),
        (
            403,
            "DENIED",
            "is not authorized to perform: ecr:PutImage because no policy allows it",
            Unauthorized,
            "check",
        ),
        (403, "DENIED", "Permission 'quota.view' denied on resource", Unauthorized, "check the credentials"),
        (403, "DENIED", "permission_denied: write_package", Unauthorized, "check the credentials"),
        (401, "UNAUTHORIZED", "authentication is required by policy", Unauthorized, "check the credentials"),
        (401, "UNAUTHORIZED", "quota", Unauthorized, "check the credentials"),
    ],
)
def test_a_refusal_for_another_reason_than_the_credentials_says_so(
    status: int, code: str, message: str, kind: type[RegistryError], advice: str
) -> None:
    error = refused(status, code, message)
    assert type(error) is kind
    assert message in str(error)
    assert advice in str(error).partition(message)[2]


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        (
            "GET https://s3.example/b?X-Amz-Credential=canary%2F1&X-Amz-Signature=canary failed",
            "GET https://s3.example/b?… failed",
        ),
        ("see <https://s3.example/b?X-Amz-Signature=canary>", "see <https://s3.example/b?…>"),
        ("at /b?X-Amz-Signature=canary&X-Amz-Date=2", "at /b?X-Amz-Signature=…&X-Amz-Date=2"),
        ("at X-Goog-Signature%3Dcanary", "at X-Goog-Signature=…"),
        ("https://user:canary@host.example/x is down", "https://host.example/x is down"),
        ("sent Authorization: Bearer canary.canary.canary.7", "sent Authorization: Bearer …"),
        ("sent Basic Y2FuYXJ5OmNhbmFyeTpjYW5hcnk3", "sent Basic …"),
        ("see https://docs.example/errors#denied", "see https://docs.example/errors#denied"),
        ("is it there? ask http://host.example", "is it there? ask http://host.example"),
    ],
)
@pytest.mark.attack("secrets-in-logs")
def test_what_a_registry_says_is_shown_without_secrets(reported: str, shown: str) -> None:
    assert str(refused(400, "UNKNOWN", reported)) == f"{WHAT}: {shown}"


def test_words_about_immutable_tags_mean_nothing_without_the_code() -> None:
    assert type(refused(400, "MANIFEST_INVALID", "tag is immutable")) is RegistryError


def test_a_message_is_one_line_with_what_was_done_and_what_to_do() -> None:
    error = refused(403, "DENIED", "no\r\n\x1b[31mentry.")
    assert str(error) == f"{WHAT}: no [31mentry; check the credentials for this registry, and that they may do this"


def test_a_wait_that_was_asked_for_is_kept() -> None:
    assert refused(429, "TOOMANYREQUESTS", retry_after="7").retry_after == 7


def test_a_refused_chunk_keeps_where_the_session_stands() -> None:
    assert refused(416, "BLOB_UPLOAD_INVALID", range="0-9").details["range"] == "0-9"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "output"),
    [
        (
            502,
            "text/html; charset=utf-8",
            b"<html><head>\n<title>502 Bad\n Gateway</title>",
            "502 with text/html (502 Bad Gateway)",
        ),
        (503, "text/html", b"<p>" + b"x" * 60_000, "503 with text/html;"),
        (404, "text/html", b"<TITLE>Sign in &amp; up</TITLE>", "404 with text/html (Sign in & up)"),
        (400, "", b"", "400 with an empty body"),
        (400, "application/json", b"[" * 50_000, "400 with application/json"),
        (400, "application/json", b'{"errors": []}', "400 with application/json"),
        (400, "application/json", b'{"errors": "no"}', "400 with application/json"),
        (400, "application/json", b'{"errors": [null]}', "400 with application/json"),
        (400, "application/json", b'{"errors": [{"code": 5, "message": {}}]}', "400 with application/json"),
        (400, "application/json", b'\xff\xfe{"a": 1}', "400 with application/json"),
        (401, "application/json", b'{"details": "incorrect username or password"}', "incorrect username or password"),
        (400, "application/json", b'{"error": "invalid_grant", "error_description": "gone"}', ": gone"),
        (418, "\x1b[2J" * 100, b"?", "418 with [2J"),
    ],
)
def test_what_is_no_registrys_answer_is_told_in_one_line(
    status: int, content_type: str, body: bytes, output: str
) -> None:
    message = str(error_of(WHAT, HttpResponse(status, {"content-type": content_type}, body)))
    assert message.startswith(f"{WHAT}: ")
    assert output in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("status", "code", "message", "expired"),
    [
        (403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.", True),
        (403, "DENIED", "User: arn:aws:x is not authorized to perform: ecr:X", False),
        (400, "DENIED", "Your authorization token has expired.", False),
        (403, "OTHER", "Your authorization token has expired.", False),
    ],
)
def test_ecrs_expired_token_is_told_from_other_refusals(status: int, code: str, message: str, expired: bool) -> None:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    assert is_expired(HttpResponse(status, {}, body)) is expired
