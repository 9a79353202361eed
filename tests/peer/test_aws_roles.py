"""An AWS profile or role for each side, with roles handed out by a scripted STS."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from tests.support.scripted import Peer, Step, answer, scripted
from transfer import AwsCredentials, CredentialsMissing, Engine, InvalidConfig, Server, TransferConfig, Unauthorized
from transfer.api import CopyOptions
from transfer.endpoints.registry_access import RegistryAccess
from transfer.http.messages import HttpRequest
from transfer.registry.ecr.aws import AwsSession
from transfer.testing.images import ImageBuilder

ROLE = "arn:aws:iam::210987654321:role/team/pusher"
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
KEYS = AwsCredentials(access_key_id="BASE", secret_access_key="base-secret", region="us-east-1")


def assumed(key: str, *, minutes: int = 60) -> Step:
    """STS's answer: credentials of the role for some minutes."""
    ends = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        f'<AssumeRoleResponse xmlns="{STS}"><AssumeRoleResult><Credentials><AccessKeyId>{key}</AccessKeyId>'
        f"<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>token</SessionToken>"
        f"<Expiration>{ends}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    return answer(200, body.encode(), Content_Type="text/xml")


def denied() -> Step:
    message = "User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole"
    body = f'<ErrorResponse xmlns="{STS}"><Error><Code>AccessDenied</Code><Message>{message}</Message></Error>'
    return answer(403, f"{body}</ErrorResponse>".encode(), Content_Type="text/xml")


@pytest_asyncio.fixture
async def sts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
    async with scripted(assumed("ROLEKEY")) as peer:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", peer.url)
        yield peer


@pytest.fixture
def profile(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    config = clean_environment / "config"
    config.write_text(
        "[profile theirs]\nregion = us-east-1\naws_access_key_id = PROFILEKEY\naws_secret_access_key = role-secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    return "theirs"


def app(server: Server) -> str:
    return f"ecr://{server.url.partition('//')[2]}/app"


def key_of(headers: str) -> str:
    return headers.partition("Credential=")[2].partition("/")[0]


async def test_each_side_has_its_own_credentials(sts: Peer, profile: str, layout: ImageBuilder) -> None:
    image = layout.image([1000])
    theirs, ours = RegistryAccess(profile=profile), RegistryAccess(role=ROLE)
    async with (
        Server(access_key="PROFILEKEY", secret_key="role-secret") as one,
        Server(access_key="ROLEKEY", secret_key="role-secret") as two,
        Engine(credentials=KEYS) as engine,
    ):
        await engine.push(image.source, f"{app(one)}:v1", target_access=theirs, create_repository=True)
        sides = CopyOptions(source_access=theirs, target_access=ours, create_repository=True)
        copied = await engine.copy(f"{app(one)}:v1", f"{app(two)}:v1", **sides)
        through = await engine.copy(f"{app(one)}:v1", f"{app(two)}:v2", **(sides | {"ecr_protocol": "registry"}))
    assert copied.digest == through.digest == image.root.digest
    assert len(sts.requests) == 1
    assert (two.requests.count("PutImage", 200), two.requests.count("PutManifest", 201)) == (1, 1)
    asked = parse_qs(sts.requests[0].body.decode())
    assert (asked["Action"], asked["RoleArn"]) == (["AssumeRole"], [ROLE])
    assert key_of(sts.requests[0].headers["authorization"]) == "BASE"


async def test_one_host_under_two_roles_is_two_clients(sts: Peer, layout: ImageBuilder) -> None:
    other = ROLE.replace("pusher", "reader")
    async with Server(auth=False) as server, Engine(TransferConfig(journal=False), credentials=KEYS) as engine:
        image = layout.image([10])
        for role in (ROLE, other, ROLE):
            await engine.push(
                image.source, app(server), target_access=RegistryAccess(role=role), create_repository=True
            )
    roles = Counter(parse_qs(request.body.decode())["RoleArn"][0] for request in sts.requests)
    assert roles == {ROLE: 1, other: 1}


async def test_a_role_is_assumed_from_the_profile_of_its_side(sts: Peer, profile: str, server: Server) -> None:
    access = RegistryAccess(profile=profile, role=ROLE)
    async with Engine(TransferConfig(journal=False, max_attempts=1), credentials=KEYS) as engine:
        with pytest.raises(Unauthorized):
            await engine.inspect(f"{app(server)}:v1", access=access)
    assert key_of(sts.requests[0].headers["authorization"]) == "PROFILEKEY"


async def test_a_role_is_assumed_again_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(assumed("FIRST", minutes=5), assumed("SECOND")) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        wanted = AwsCredentials(access_key_id="BASE", secret_access_key="s", region="us-east-1", role=ROLE)
        session = await AwsSession.load(wanted)
        signed = [await session.sign(HttpRequest("POST", session.url, {})) for _ in range(3)]
    assert [key_of(one.headers["Authorization"]) for one in signed] == ["SECOND"] * 3
    assert {one.headers["X-Amz-Security-Token"] for one in signed} == {"token"}
    assert len(sts.requests) == 2


async def test_a_role_that_may_not_be_assumed_is_a_matter_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(denied()) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        async with Engine(TransferConfig(journal=False), credentials=KEYS) as engine:
            with pytest.raises(CredentialsMissing, match=r"sts:AssumeRole; check the role, and who may assume it") as e:
                await engine.inspect("ecr://127.0.0.1:1/app:v1", access=RegistryAccess(role=ROLE))
    assert "base-secret" not in str(e.value)


@pytest.mark.parametrize(
    "role", ["", "pusher", "arn:aws:iam::1:role/x", "arn:aws:iam::210987654321:user/x", f"{ROLE}\n", "x" * 5000]
)
def test_what_is_no_role_is_refused(role: str) -> None:
    with pytest.raises(InvalidConfig, match="expected the ARN"):
        AwsCredentials(role=role)


@pytest.mark.parametrize("access", [RegistryAccess(profile="theirs"), RegistryAccess(role=ROLE)])
async def test_a_registry_that_is_no_ecr_takes_neither(access: RegistryAccess) -> None:
    async with Engine(TransferConfig(journal=False)) as engine:
        with pytest.raises(InvalidConfig, match="is for a registry of ECR"):
            await engine.inspect("127.0.0.1:1/app:v1", access=access)
