"""The embedded registry's own Signature Version 4."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from transfer.server.errors import ApiError
from transfer.server.sigv4 import Key, SignedRequest, check_query, read_header, sign_query

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def at(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


# get-vanilla and others of AWS's published Signature Version 4 test suite: key AKIDEXAMPLE, region us-east-1.
SUITE = {
    "get-vanilla": (
        "GET", "", {}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        "GET", "Param2=value2&Param1=value1", {}, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-vanilla": (
        "POST", "", {}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-header-key-sort": (
        "POST", "", {"my-header1": ["value1"]}, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("method", "query", "headers", "signature"), SUITE.values(), ids=SUITE)
def test_the_published_test_suite_verifies(
    method: str, query: str, headers: dict[str, list[str]], signature: str
) -> None:
    names = ";".join(sorted({"host", "x-amz-date", *headers}))
    scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    request = SignedRequest(
        method,
        "/",
        query,
        {"host": ["example.amazonaws.com"], "x-amz-date": ["20150830T123600Z"], "authorization": [authorization]}
        | headers,
    )
    key = Key("AKIDEXAMPLE", SECRET, "us-east-1", "service")
    read_header(request, key, at("20150830T123600Z")).check(request, EMPTY)


KEY = Key("transfer", "secret", "us-east-1", "ecr")
NOW = at("20260102T030405Z")


def signed(*, key: Key = KEY, now: float = NOW, **changed: str) -> SignedRequest:
    """A request as botocore signs it, with some headers changed afterwards."""
    headers = {"X-Amz-Target": "T.Op", "Content-Type": "application/x-amz-json-1.1", "Host": "127.0.0.1:5000"}
    request = AWSRequest("POST", "http://127.0.0.1:5000/", headers=headers, data=b"")
    signer = SigV4Auth(Credentials(key.access_key, key.secret_key), key.service, key.region)
    request.context["timestamp"] = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"
    )
    found = {name.lower(): [value] for name, value in request.headers.items()}
    return SignedRequest("POST", "/", "", found | {name.replace("_", "-"): [value] for name, value in changed.items()})


def refusal(request: SignedRequest, *, now: float = NOW, payload: str = EMPTY) -> tuple[str, str, int]:
    with pytest.raises(ApiError) as caught:
        read_header(request, KEY, now).check(request, payload)
    return caught.value.code, caught.value.message, caught.value.status


def test_a_request_signed_by_botocore_verifies() -> None:
    request = signed()
    read_header(request, KEY, NOW).check(request, EMPTY)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (signed(key=Key("other", "secret", "us-east-1", "ecr")), "UnrecognizedClient", "security token"),
        (signed(key=Key("transfer", "wrong", "us-east-1", "ecr")), "InvalidSignature", "does not match"),
        (signed(key=Key("transfer", "secret", "eu-west-1", "ecr")), "InvalidSignature", "not 'eu-west-1'"),
        (signed(key=Key("transfer", "secret", "us-east-1", "s3")), "InvalidSignature", "correct service: 'ecr'"),
        (signed(now=NOW - 901), "InvalidSignature", "Signature expired: 20260102T024904Z is now earlier than"),
        (signed(now=NOW + 901), "InvalidSignature", "Signature not yet current"),
        (signed(x_amz_target="T.Other"), "InvalidSignature", "does not match"),
        (signed(x_amz_extra="1"), "InvalidSignature", "'x-amz-extra' must be a 'SignedHeader'"),
        (signed(authorization="AWS4-HMAC-SHA256 Credential=x"), "IncompleteSignature", "Authorization"),
        (signed(authorization="Basic eDp5"), "IncompleteSignature", "Authorization"),
        (signed(x_amz_date="20261302T030405Z"), "IncompleteSignature", "Authorization"),
        (SignedRequest("POST", "/", "", {}), "MissingAuthenticationToken", "Missing Authentication Token"),
    ],
)
def test_what_aws_refuses_is_refused_in_its_words(request_: SignedRequest, code: str, words: str) -> None:
    found, message, status = refusal(request_)
    assert (found, status) == (f"{code}Exception", 400)
    assert words in message
    assert "secret" not in message


def test_another_body_is_another_signature() -> None:
    assert refusal(signed(), payload="0" * 64)[0] == "InvalidSignatureException"


URL_KEY = Key("transfer", "secret", "us-east-1", "s3")
PATH = "/layers/app/sha256/00"


def get(query: str, *, path: str = PATH, **headers: str) -> SignedRequest:
    return SignedRequest("GET", path, query, {"host": ["127.0.0.1:5000"]} | {n: [v] for n, v in headers.items()})


def query() -> str:
    return sign_query(PATH, "127.0.0.1:5000", URL_KEY, now=NOW, lifetime=60)


def test_a_signed_url_is_good_until_it_expires() -> None:
    check_query(get(query()), URL_KEY, NOW + 60)
    with pytest.raises(ApiError, match="Request has expired"):
        check_query(get(query()), URL_KEY, NOW + 61)


def test_a_url_signed_by_botocore_verifies() -> None:
    request = AWSRequest("GET", f"http://127.0.0.1:5000{PATH}")
    S3SigV4QueryAuth(Credentials("transfer", "secret"), "s3", "us-east-1", expires=60).add_auth(request)
    check_query(get(urlsplit(str(request.url)).query), URL_KEY, datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    ("request_", "code", "status"),
    [
        (get(query(), path="/layers/app/sha256/01"), "SignatureDoesNotMatch", 403),
        (get(query().replace("Expires=60", "Expires=600")), "SignatureDoesNotMatch", 403),
        (get(query() + "&more=1"), "SignatureDoesNotMatch", 403),
        (get(query() + "&X-Amz-Expires=600"), "AccessDenied", 403),
        (get(query().replace("Credential=transfer", "Credential=other")), "InvalidAccessKeyId", 403),
        (get(""), "AccessDenied", 403),
        (get(query(), authorization="Basic eDp5"), "InvalidArgument", 400),
    ],
)
def test_a_changed_url_is_refused_as_s3_does(request_: SignedRequest, code: str, status: int) -> None:
    with pytest.raises(ApiError) as caught:
        check_query(request_, URL_KEY, NOW)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_a_key_does_not_show_its_secret() -> None:
    assert "secret" not in repr(KEY)
