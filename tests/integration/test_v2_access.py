"""Authentication at `/v2/`, repositories that a push creates, and unknown endpoints."""

import base64
from collections.abc import AsyncIterator

import pytest

from tests.support.server_calls import Calls
from tests.support.v2_calls import V2, digest_of
from transfer.server import Server


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


@pytest.fixture
async def strict() -> AsyncIterator[Server]:
    async with Server(access_key="me", secret_key="se:cret") as running:
        yield running


async def token_of(token_ttl: float = 43200.0) -> str:
    """What GetAuthorizationToken of a registry answers; the secret it is made with is the same in all of them."""
    async with Server(auth=False, secret_key="se:cret", token_ttl=token_ttl) as server, Calls(server.url) as call:
        return str((await call("GetAuthorizationToken"))["authorizationData"][0]["authorizationToken"])


@pytest.mark.parametrize(
    "headers", [{}, basic("me:wrong"), basic("you:se:cret"), basic("AWS:se:cret"), {"Authorization": "Bearer x"}]
)
async def test_a_stranger_is_challenged(strict: Server, headers: dict[str, str]) -> None:
    async with V2(strict.url, headers=headers) as v2:
        for path in ("", "app/tags/list", "no//endpoint"):
            refused = await v2("GET", path)
            assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
            realm = f"{strict.url}/"
            assert refused.headers["Www-Authenticate"] == f'Basic realm="{realm}",service="ecr.amazonaws.com"'
    assert strict.requests.count("ListTags", 401) == 1


async def test_the_access_key_is_user_and_its_secret_the_password(strict: Server) -> None:
    async with V2(strict.url, headers=basic("me:se:cret")) as v2:
        assert (await v2("GET", "")).status == 200
        assert await v2.image("v1")


@pytest.mark.parametrize("path", ["", "/"])
async def test_the_base_answers_that_this_is_a_registry(strict: Server, path: str) -> None:
    async with V2(strict.url, headers=basic("me:se:cret")) as v2:
        answer = await v2("GET", f"/v2{path}")
    assert (answer.status, answer.json) == (200, {})


async def test_a_token_of_the_api_is_good(strict: Server) -> None:
    async with V2(strict.url, headers={"Authorization": f"Basic {await token_of()}"}) as v2:
        assert (await v2("GET", "")).status == 200


async def test_a_token_with_another_mark_is_none(strict: Server) -> None:
    password = base64.b64decode(await token_of()).decode().partition(":")[2]
    changed = ("A" if password[0] != "A" else "B") + password[1:]
    async with V2(strict.url, headers=basic(f"AWS:{changed}")) as v2:
        assert (await v2("GET", "")).status == 401


@pytest.mark.parametrize(("dialect", "status", "code"), [("oci", 401, "UNAUTHORIZED"), ("ecr", 403, "DENIED")])
async def test_a_token_ends(dialect: str, status: int, code: str) -> None:
    token = await token_of(token_ttl=0.001)
    async with (
        Server(secret_key="se:cret", dialect=dialect) as server,
        V2(server.url, headers={"Authorization": f"Basic {token}"}) as v2,
    ):
        refused = await v2("GET", "")
    assert (refused.status, refused.code) == (status, code)
    assert ("Www-Authenticate" in refused.headers) == (dialect == "oci")
    if dialect == "ecr":
        assert refused.json["errors"][0]["message"] == (
            "Your authorization token has expired. Reauthenticate and try again."
        )


async def test_a_large_body_of_a_stranger_gets_its_answer(strict: Server) -> None:
    async with V2(strict.url) as v2:
        refused = await v2("PATCH", "app/blobs/uploads/x", bytes(20_000_000))
    assert refused.status == 401


@pytest.mark.parametrize(
    ("dialect", "asked", "made"),
    [("oci", None, True), ("oci", False, False), ("ecr", None, False), ("ecr", True, True)],
)
async def test_a_push_makes_the_repository_where_it_should(dialect: str, asked: bool | None, made: bool) -> None:
    async with Server(auth=False, dialect=dialect, create_on_push=asked) as server, V2(server.url) as v2:
        answers = [
            await v2("POST", "team/app/blobs/uploads/"),
            await v2("POST", "team/b/blobs/uploads/", query=[("mount", digest_of(b"x"))]),
        ]
        assert [answer.status for answer in answers] == ([202, 202] if made else [404, 404])
        if not made:
            assert answers[0].code == "NAME_UNKNOWN"
        async with Calls(server.url) as call:
            found = [entry["repositoryName"] for entry in (await call("DescribeRepositories"))["repositories"]]
    assert found == (["team/app", "team/b"] if made else [])


async def test_reading_makes_no_repository() -> None:
    async with Server(auth=False) as server, V2(server.url) as v2, Calls(server.url) as call:
        for path in ("tags/list", "manifests/v1", f"blobs/{digest_of(b'x')}", f"referrers/{digest_of(b'x')}"):
            await v2("GET", f"app/{path}")
        assert (await call("DescribeRepositories"))["repositories"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "nothing", 404, "UNSUPPORTED"),
        ("GET", "app/things/list", 404, "UNSUPPORTED"),
        ("POST", "", 405, "UNSUPPORTED"),
        ("DELETE", "app/tags/list", 405, "UNSUPPORTED"),
        ("GET", "app/blobs/uploads/", 405, "UNSUPPORTED"),
        ("GET", "APP/tags/list", 400, "NAME_INVALID"),
        ("POST", "a//b/blobs/uploads/", 400, "NAME_INVALID"),
        ("POST", f"{'a' * 257}/blobs/uploads/", 400, "NAME_INVALID"),
    ],
)
async def test_what_is_no_endpoint_is_refused(method: str, path: str, status: int, code: str) -> None:
    async with Server(auth=False) as server, V2(server.url) as v2:
        refused = await v2(method, path)
    assert (refused.status, refused.code) == (status, code)
    assert ("Allow" in refused.headers) == (status == 405)
