"""Whether a login works: at the embedded registry by both its APIs, and at scripted registries and token servers."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.scripted import Arrived, Step, answer, scripted
from transfer import AwsCredentials, Engine, InvalidConfig, InvalidReference, Server, TransferConfig
from transfer.auth.login_status import LoginStatus, State, Tried
from transfer.endpoints.registry_access import DEFAULT_ACCESS, RegistryAccess
from transfer.errors import ConnectionFailed, CredentialsMissing, NotFound, TransferError, Unauthorized

SECRET = "canary-4d1e"
ONCE = TransferConfig(journal=False, max_attempts=1)
LOGIN = RegistryAccess(login="transfer:transfer")
KEYS = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", region="us-east-1")
ABSENT = answer(404, b"")


async def check(
    place: str, access: RegistryAccess = DEFAULT_ACCESS, credentials: AwsCredentials | None = None
) -> LoginStatus:
    async with Engine(ONCE, credentials=credentials) as engine:
        return await engine.check_login(place, access=access)


def reported(status: LoginStatus) -> tuple[str, str | None, str, str | None]:
    return status.state, status.user, status.source, status.permission


def host(server: Server) -> str:
    return server.url.partition("//")[2]


def docker_file(home: Path, content: object) -> Path:
    path = home / ".docker" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return path


async def test_a_login_that_was_given_works_or_does_not(server: Server) -> None:
    assert reported(await check(host(server), LOGIN)) == ("ok", "transfer", "given", "login")
    assert reported(await check(f"{host(server)}/app", LOGIN)) == ("ok", "transfer", "given", "pull")
    wrong = await check(f"{host(server)}/app", RegistryAccess(login=f"transfer:{SECRET}"))
    assert reported(wrong) == ("refused", "transfer", "given", None)
    assert SECRET not in repr(wrong)
    assert {record.operation for record in server.requests} == {"GetBase", "HeadManifest"}


async def test_nobody_where_somebody_is_wanted_is_missing(server: Server) -> None:
    for access in (DEFAULT_ACCESS, RegistryAccess(anonymous=True)):
        nobody = await check(host(server), access)
        assert reported(nobody) == ("missing", None, "anonymous", None)
        assert "requires credentials" in str(nobody.detail)


async def test_a_login_names_the_file_or_the_helper_that_it_is_from(
    server: Server, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = host(server)
    auth = base64.b64encode(b"transfer:transfer").decode()
    path = docker_file(clean_environment, {"auths": {place: {"auth": auth}}})
    assert reported(await check(place)) == ("ok", "transfer", str(path), "login")
    program = clean_environment / "docker-credential-test"
    program.write_text('#!/bin/sh\necho \'{"Username": "transfer", "Secret": "transfer"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{clean_environment}:/usr/bin:/bin")
    path.write_text(json.dumps({"credHelpers": {place: "test"}}))
    assert reported(await check(place)) == ("ok", "transfer", "docker-credential-test", "login")
    path.write_text(json.dumps({"credHelpers": {place: "gone"}}))
    missing = await check(place)
    assert (missing.state, "is not installed" in str(missing.detail)) == ("missing", True)
    path.write_text("{")
    with pytest.raises(InvalidConfig, match="no file of logins"):
        await check(place)


async def test_a_registry_that_asks_for_nobody_was_told_of_nobody() -> None:
    async with scripted(answer(200)) as peer:
        open_to_all = await check(f"127.0.0.1:{peer.port}", RegistryAccess(login=f"me:{SECRET}", plain_http=True))
    assert reported(open_to_all) == ("ok", None, "anonymous", "login")
    assert [request.headers.get("authorization") for request in peer.requests] == [None]


@pytest.mark.parametrize(
    ("pull", "state", "permission"),
    [
        (ABSENT, "ok", "pull"),
        (answer(403, b""), "refused", "login"),
    ],
)
async def test_a_token_that_is_handed_out_is_tried_at_the_repository(pull: Step, state: str, permission: str) -> None:
    async with scripted(answer(200, {"token": "t1"})) as issuer, scripted(answer(200)) as peer:

        async def choose(request: Arrived) -> Step:
            if "authorization" not in request.headers:
                return answer(401, b"", WWW_Authenticate=f'Bearer realm="{issuer.url}/token",service="r"')
            return answer(200) if request.line.split()[1] == "/v2/" else pull

        peer.choose = choose  # type: ignore[method-assign]
        access = RegistryAccess(login=f"me:{SECRET}", plain_http=True)
        status = await check(f"127.0.0.1:{peer.port}/team/app", access)
        alone = await check(f"127.0.0.1:{peer.port}", access)
    assert reported(status) == (state, "me", "given", permission)
    assert reported(alone) == ("ok", "me", "given", "login")
    asked = [request.line.split()[1] for request in issuer.requests]
    assert asked[0] == "/token?account=me&service=r&scope=repository%3Ateam%2Fapp%3Apull"
    assert asked[-1] == "/token?account=me&service=r"


async def test_a_token_server_that_refuses_is_told_with_who_was_refused() -> None:
    async with scripted(answer(401, {"details": "incorrect username or password"})) as issuer:
        challenge = answer(401, b"", WWW_Authenticate=f'Bearer realm="{issuer.url}"')
        async with scripted(challenge) as peer:
            access = RegistryAccess(login=f"me:{SECRET}", plain_http=True)
            status = await check(f"127.0.0.1:{peer.port}/app", access)
    assert reported(status) == ("refused", "me", "given", None)
    assert "incorrect username or password" in str(status.detail)


async def test_what_is_no_registry_tells_nothing() -> None:
    async with scripted(answer(404, b"<html>")) as peer:
        place = f"127.0.0.1:{peer.port}"
        elsewhere = await check(place, RegistryAccess(plain_http=True))
    closed = await check(place, RegistryAccess(plain_http=True))
    assert [reported(status) for status in (elsewhere, closed)] == [("failed", None, "anonymous", None)] * 2


async def test_keys_of_aws_are_asked_for_a_token_and_for_an_image(server: Server) -> None:
    async with Engine(ONCE, credentials=KEYS) as engine:
        await engine.check_login(f"ecr://{host(server)}")
        status = await engine.check_login(f"ecr://{host(server)}/app")
    assert (status.state, status.permission, status.source) == ("failed", "login", "AWS (explicit)")
    assert "RepositoryNotFound" in str(status.detail) or "does not exist" in str(status.detail)
    assert status.expires_at is not None
    assert 11 < (status.expires_at - datetime.now(UTC)).total_seconds() / 3600 < 13


async def test_the_account_at_ecr_is_the_callers_own() -> None:
    data = {
        "authorizationToken": "QVdTOng=",
        "proxyEndpoint": "https://210987654321.dkr.ecr.us-east-1.amazonaws.com",
        "expiresAt": 1.8e9,
    }
    steps = answer(200, {"authorizationData": [data]}), answer(200, {"images": [], "failures": []})
    async with scripted(*steps) as peer:
        keys = AwsCredentials(access_key_id="a", secret_access_key=SECRET, endpoint_url=peer.url)
        status = await check("123456789012.dkr.ecr.us-east-1.amazonaws.com/app", credentials=keys)
    assert reported(status) == ("ok", "210987654321", "AWS (explicit)", "pull")
    assert status.expires_at == datetime.fromtimestamp(1.8e9, UTC)
    assert peer.requests[1].json()["registryId"] == "123456789012"


async def test_wrong_keys_of_aws_are_refused_and_none_are_missing(server: Server) -> None:
    wrong = AwsCredentials(access_key_id="transfer", secret_access_key=SECRET, region="us-east-1")
    refused = await check(f"ecr://{host(server)}/app", credentials=wrong)
    assert reported(refused) == ("refused", None, "AWS (explicit)", None)
    assert SECRET not in repr(refused)
    missing = await check("123456789012.dkr.ecr.us-east-1.amazonaws.com")
    assert reported(missing) == ("missing", None, "AWS", None)


@pytest.mark.parametrize("place", ["", "app", "team/app", "r.example/app:v1", "https://r.example", "r example"])
async def test_what_is_no_registry_is_refused_before_anything_is_asked(place: str) -> None:
    with pytest.raises(InvalidReference):
        await check(place)


@pytest.mark.parametrize(
    ("error", "somebody", "state"),
    [
        (None, True, "ok"),
        (None, False, "ok"),
        (Unauthorized("x", status=401, code="UNAUTHORIZED"), True, "refused"),
        (Unauthorized("x", status=401, code="UNAUTHORIZED"), False, "missing"),
        (CredentialsMissing("x"), True, "missing"),
        (ConnectionFailed("x"), True, "failed"),
        (NotFound("x", status=404, code="404"), False, "failed"),
    ],
)
def test_an_error_becomes_a_state(error: TransferError | None, somebody: bool, state: State) -> None:
    assert Tried(None, error).state(somebody=somebody) == state
