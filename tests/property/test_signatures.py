"""Signature Version 4: what botocore signs is verified, and whatever else comes is refused in AWS's words."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from transfer.server.errors import ApiError
from transfer.server.sigv4 import Key, SignedRequest, check_query, read_header, sign_query

KEY = Key("transfer", "secret", "us-east-1", "ecr")
HOST = "registry.example"

# As aiohttp hands on what is not UTF-8: each such byte is a lone surrogate.
RAW = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
FIELDS = st.sampled_from(
    [
        "AWS4-HMAC-SHA256 ",
        "Credential=",
        "SignedHeaders=",
        "Signature=",
        "transfer/20260102/us-east-1/ecr/aws4_request",
        "host;x-amz-date",
        "host",
        ";",
        ",",
        "/",
    ]
)
SIGNED = "AWS4-HMAC-SHA256 Credential=transfer/20260102/us-east-1/ecr/aws4_request,SignedHeaders="
HEADER = st.lists(FIELDS | RAW, max_size=9).map("".join)


def now_of(request: AWSRequest) -> float:
    return datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@given(
    method=st.sampled_from(["GET", "POST"]),
    query=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=3),
    headers=st.dictionaries(
        st.from_regex(r"x-amz-meta-[a-z0-9]{1,8}", fullmatch=True), st.from_regex(r"[ -~]{0,20}", fullmatch=True)
    ),
    body=st.binary(max_size=50),
    at=st.integers(0),
)
def test_what_is_signed_is_verified_and_nothing_else(
    method: str, query: dict[str, str], headers: dict[str, str], body: bytes, at: int
) -> None:
    raw_query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    request = AWSRequest(method, f"https://{HOST}/?{raw_query}", dict(headers), body)
    signer = SigV4Auth(Credentials(KEY.access_key, KEY.secret_key), KEY.service, KEY.region)
    signer.add_auth(request)
    sent = {"host": [HOST]} | {name.lower(): [value] for name, value in request.headers.items()}
    signed = SignedRequest(method, "/", raw_query, sent)
    signature = read_header(signed, KEY, now_of(request))
    payload = signer.payload(request)
    signature.check(signed, payload)

    digit = at % len(payload)
    other = payload[:digit] + ("0" if payload[digit] != "0" else "1") + payload[digit + 1 :]
    with pytest.raises(ApiError):
        signature.check(signed, other)


@example(f"{SIGNED}host;x-amz-date,Signature=\udcff")
@example(f"{SIGNED}host;x-amz-date;\udcff,Signature=0")
@given(HEADER)
def test_any_authorization_header_is_refused(header: str) -> None:
    request = SignedRequest(
        "POST", "/", "", {"host": [HOST], "x-amz-date": ["20260102T030405Z"], "authorization": [header]}
    )
    with pytest.raises(ApiError):
        read_header(request, KEY, 1_767_323_045).check(request, "UNSIGNED-PAYLOAD")


@given(
    path=st.from_regex(r"/[a-z0-9]{1,9}", fullmatch=True), changed=RAW, at=st.integers(0), later=st.integers(0, 7200)
)
def test_a_signed_url_is_taken_until_it_expires_and_no_other(path: str, changed: str, at: int, later: int) -> None:
    query = sign_query(path, HOST, KEY, now=1_767_323_045, lifetime=3600)
    request = SignedRequest("GET", path, query, {"host": [HOST]})
    if later <= 3600:
        check_query(request, KEY, 1_767_323_045 + later)
    else:
        with pytest.raises(ApiError):
            check_query(request, KEY, 1_767_323_045 + later)

    start = at % len(query)
    other = query[:start] + changed + query[start + len(changed) :]
    if other != query:
        with pytest.raises(ApiError):
            check_query(SignedRequest("GET", path, other, {"host": [HOST]}), KEY, 1_767_323_045 + 7200)
