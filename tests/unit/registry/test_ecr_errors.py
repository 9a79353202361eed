"""What each refusal of the ECR API becomes."""

import json
import math

import pytest

from transfer.concurrency.retry import retryable
from transfer.errors import NotFound, RateLimited, RegistryError, TagImmutable, Unauthorized, UploadLost
from transfer.http.messages import HttpResponse, retry_after
from transfer.registry.ecr.errors import error_of

WHAT = "PutImage app"
ELSEWHERE = "; check that AWS_ENDPOINT_URL is the address of an ECR API"


def refused(code: str, message: str = "Something", status: int = 400, **members: object) -> RegistryError:
    body = json.dumps({"__type": code, "message": message, **members}).encode()
    return error_of(WHAT, HttpResponse(status, {"content-type": "application/x-amz-json-1.1"}, body))


def raw(status: int, body: bytes, **headers: str) -> RegistryError:
    return error_of(
        WHAT, HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
    )


@pytest.mark.parametrize(
    ("code", "status", "kind", "again"),
    [
        ("RepositoryNotFoundException", 400, NotFound, False),
        ("com.amazonaws.ecr#RepositoryNotFoundException", 400, NotFound, False),
        ("RepositoryNotFoundException:http://internal.amazon.com/", 400, NotFound, False),
        ("ImageNotFoundException", 400, NotFound, False),
        ("LayersNotFoundException", 400, NotFound, False),
        ("ReferencedImagesNotFoundException", 400, NotFound, False),
        ("RepositoryPolicyNotFoundException", 400, NotFound, False),
        ("UploadNotFoundException", 400, UploadLost, False),
        ("ImageTagAlreadyExistsException", 400, TagImmutable, False),
        ("ImageAlreadyExistsException", 400, RegistryError, False),
        ("LayerAlreadyExistsException", 400, RegistryError, False),
        ("InvalidLayerPartException", 400, RegistryError, False),
        ("InvalidParameterException", 400, RegistryError, False),
        ("LimitExceededException", 400, RegistryError, False),
        ("AccessDeniedException", 400, Unauthorized, False),
        ("UnrecognizedClientException", 400, Unauthorized, False),
        ("InvalidSignatureException", 400, Unauthorized, False),
        ("ExpiredTokenException", 400, Unauthorized, False),
        ("MissingAuthenticationTokenException", 403, Unauthorized, False),
        ("SomethingElse", 403, Unauthorized, False),
        ("ThrottlingException", 400, RateLimited, True),
        ("ThrottleException", 400, RateLimited, True),
        ("TooManyRequestsException", 429, RateLimited, True),
        ("SomethingElse", 429, RateLimited, True),
        ("SlowDown", 503, RateLimited, True),
        ("ServerException", 500, RegistryError, True),
        ("RequestTimeout", 408, RegistryError, True),
    ],
)
def test_a_code_becomes_a_kind(code: str, status: int, kind: type[RegistryError], again: bool) -> None:
    error = refused(code, status=status)
    assert (type(error), error.status, retryable(error)) == (kind, status, again)
    assert error.code == code.rpartition("#")[2].partition(":")[0]


def test_a_message_says_what_was_done_then_what_came_back_then_what_to_do() -> None:
    error = refused("RepositoryNotFoundException", "The repository with name 'app' does not exist.")
    assert str(error) == (
        "PutImage app: The repository with name 'app' does not exist; create it, or push with --create-repository"
    )


def test_other_members_are_details() -> None:
    error = refused("InvalidLayerPartException", lastValidByteReceived=10485759, uploadId="u")
    assert dict(error.details) == {"lastValidByteReceived": 10485759, "uploadId": "u"}


def test_a_message_may_be_spelled_with_a_capital() -> None:
    assert "Rate exceeded" in str(raw(400, b'{"__type":"ThrottlingException","Message":"Rate exceeded"}'))


@pytest.mark.parametrize(
    ("status", "body", "headers", "code", "text"),
    [
        (
            503,
            b"<html>Service Unavailable</html>",
            {"content_type": "text/html; charset=utf-8"},
            "503",
            "PutImage app: the answer was 503 with text/html; try again later",
        ),
        (502, b"", {}, "502", "PutImage app: the answer was 502 with an empty body; try again later"),
        (
            404,
            b"Not Found",
            {"content_type": "text/plain"},
            "404",
            "PutImage app: the answer was 404 with text/plain" + ELSEWHERE,
        ),
        (
            301,
            b"",
            {},
            "301",
            "PutImage app: the answer was 301 with an empty body" + ELSEWHERE,
        ),
        (
            400,
            b"[1, 2]",
            {},
            "400",
            "PutImage app: the answer was 400 with unknown content" + ELSEWHERE,
        ),
        (
            400,
            b"{}",
            {"x_amzn_errortype": "ValidationException:http://x/"},
            "ValidationException",
            "PutImage app: the registry answered ValidationException (400)",
        ),
        (
            429,
            b"",
            {},
            "429",
            "PutImage app: the answer was 429 with an empty body; try again later, or push less at once",
        ),
    ],
)
def test_an_answer_without_a_message_still_reads_well(
    status: int, body: bytes, headers: dict[str, str], code: str, text: str
) -> None:
    error = raw(status, body, **headers)
    assert (error.code, str(error)) == (code, text)


@pytest.mark.parametrize(
    "body",
    [b"{", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"__type": 5}', b'{"__type": {"a": 1}, "message": [1]}'],
)
def test_no_body_is_too_odd_for_one_line(body: bytes) -> None:
    error = raw(400, body)
    assert error.code == "400"
    assert "\n" not in str(error)


def test_control_characters_and_endless_text_do_not_reach_a_message() -> None:
    error = refused("InvalidParameterException", "a\x1b[31mred\r\n\u202etxt" + "x" * 100_000)
    assert str(error).startswith("PutImage app: a [31mred txt")
    assert len(str(error)) < 1100


def test_a_refused_signature_does_not_show_what_was_signed() -> None:
    output = (
        "The request signature we calculated does not match the signature you provided. The Canonical String for "
        "this request should have been\n'POST\n/\n\nx-amz-security-token:canary-7d1f\n'"
    )
    error = refused("InvalidSignatureException", output)
    assert "canary" not in str(error)
    assert "does not match the signature you provided; check the secret access key" in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("999999999", 86400.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("Thu Jan  1 00:01:40 1970", 40.0),
        ("Thursday, 01-Jan-70 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 02:01:40 +0200", 40.0),
        ("Thu, 01 Jan 2030 00:00:30 +9999", None),
        ("1000000000", 86400.0),
        ("-5", None),
        ("1e9", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_read_and_kept_within_reason(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, now=60.0) == seconds


def test_a_reply_without_retry_after_asks_for_no_wait() -> None:
    assert retry_after({}, now=math.inf) is None
    assert raw(429, b"", retry_after="3").retry_after == 3.0
