"""Credentials, region and endpoint, as the AWS CLI would find them."""

import asyncio
import json
import re
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from transfer.errors import CredentialsMissing, InvalidConfig
from transfer.http.bodies import RequestBody
from transfer.http.messages import HttpRequest
from transfer.registry.ecr.aws import AwsSession
from transfer.registry.ecr.credentials import AwsCredentials

# For a line that botocore splits as a shell would.
PYTHON = shlex.quote(sys.executable)
KEYS = AwsCredentials(access_key_id="AKIAEXAMPLE", secret_access_key="canary-7d1f", session_token="canary-70ce")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty AWS configuration file, to be written."""
    path = tmp_path / "config"
    path.write_text("")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_the_region_of_the_host_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    session = await AwsSession.load(KEYS, region="us-west-2")
    assert (session.region, session.url) == ("us-west-2", "https://api.ecr.us-west-2.amazonaws.com/")


async def test_the_region_of_the_credentials_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    keys = AwsCredentials(access_key_id="a", secret_access_key="b", region="eu-north-1")
    assert (await AwsSession.load(keys)).region == "eu-north-1"


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_PROFILE": "dev"}, "eu-west-3"),
        ({"AWS_PROFILE": "dev", "AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({}, "eu-central-1"),
    ],
)
async def test_the_region_is_found_in_the_order_of_the_cli(
    config: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], region: str
) -> None:
    write(config, "[default]\nregion = eu-central-1\n[profile dev]\nregion = eu-west-3\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (await AwsSession.load(KEYS)).region == region


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000/"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_ECR": "http://b:2"}, "http://b:2/"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_PROFILE": "services"}, "http://a:1/"),
        ({"AWS_PROFILE": "plain"}, "http://plain.example/"),
        ({"AWS_PROFILE": "services"}, "http://ecr.example/"),
        ({"AWS_PROFILE": "ignoring"}, "https://api.ecr.eu-west-1.amazonaws.com/"),
        (
            {"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://api.ecr.eu-west-1.amazonaws.com/",
        ),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://ecr.eu-west-1.api.aws/"),
        ({"AWS_USE_FIPS_ENDPOINT": "true", "AWS_REGION": "us-east-1"}, "https://api.ecr-fips.us-east-1.amazonaws.com/"),
        ({"AWS_REGION": "cn-north-1"}, "https://api.ecr.cn-north-1.amazonaws.com.cn/"),
    ],
)
async def test_the_endpoint_is_found_in_the_order_of_the_cli(
    config: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str
) -> None:
    write(
        config,
        "[default]\nregion = eu-west-1\n"
        "[profile plain]\nregion = eu-west-1\nendpoint_url = http://plain.example\n"
        "[profile services]\nregion = eu-west-1\nendpoint_url = http://plain.example\nservices = mine\n"
        "[profile ignoring]\nregion = eu-west-1\nendpoint_url = http://plain.example\n"
        "ignore_configured_endpoint_urls = true\n"
        "[services mine]\necr =\n  endpoint_url = http://ecr.example\n",
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (await AwsSession.load(KEYS)).url == url


@pytest.mark.parametrize(
    ("region", "fips", "dual_stack", "url"),
    [
        ("us-gov-west-1", True, False, "https://api.ecr-fips.us-gov-west-1.amazonaws.com/"),
        ("us-east-1", False, True, "https://ecr.us-east-1.api.aws/"),
        ("us-east-1", True, True, "https://ecr-fips.us-east-1.api.aws/"),
    ],
)
async def test_the_kind_of_endpoint_follows_the_host(region: str, fips: bool, dual_stack: bool, url: str) -> None:
    assert (await AwsSession.load(KEYS, region=region, fips=fips, dual_stack=dual_stack)).url == url


async def test_an_explicit_endpoint_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", "http://a:1")
    keys = AwsCredentials(access_key_id="a", secret_access_key="b", endpoint_url="http://c:3/api")
    assert (await AwsSession.load(keys, region="us-east-1")).url == "http://c:3/api"


async def test_the_ca_bundle_of_the_environment_goes_with_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/ca.pem")
    session = await AwsSession.load(KEYS, region="us-east-1")
    assert (await session.sign(HttpRequest("POST", session.url, {}))).tls.ca_bundle == "/ca.pem"


async def test_a_profile_gives_keys(config: Path) -> None:
    write(config, "[profile dev]\nregion = eu-west-1\naws_access_key_id = PROFILEKEY\naws_secret_access_key = s\n")
    session = await AwsSession.load(AwsCredentials(profile="dev"))
    signed = await session.sign(HttpRequest("POST", session.url, {}))
    assert "Credential=PROFILEKEY/" in signed.headers["Authorization"]


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("", "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
        ("aws_access_key_id = a\n", "Partial credentials found"),
        ("sso_start_url = https://x\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = r\n", "aws sso login"),
        (f"credential_process = {PYTHON} -c 1/0\n", "check AWS_PROFILE and the AWS configuration files"),
    ],
)
async def test_credentials_that_cannot_be_had_say_what_to_do(config: Path, text: str, output: str) -> None:
    write(config, "[default]\nregion = eu-west-1\n" + text)
    with pytest.raises(CredentialsMissing, match=output) as caught:
        await AwsSession.load()
    assert "\n" not in str(caught.value)


async def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(
        CredentialsMissing, match=r"The config profile \(nobody\) could not be found; check AWS_PROFILE"
    ):
        await AwsSession.load(region="us-east-1")


async def test_no_region_says_where_to_name_one() -> None:
    with pytest.raises(InvalidConfig, match="no AWS region: set AWS_REGION"):
        await AwsSession.load(KEYS)


async def test_a_configuration_that_cannot_be_read_is_named(config: Path) -> None:
    write(config, "not = a = section")
    with pytest.raises(InvalidConfig, match="AWS configuration: Unable to parse config file"):
        await AwsSession.load(KEYS, region="us-east-1")


@pytest.mark.parametrize("url", ["ftp://a", "a:5000", "http://", "http://me:canary@a:1", "http://a/?b=canary"])
async def test_an_endpoint_that_is_none_is_refused_without_showing_it(url: str) -> None:
    keys = AwsCredentials(access_key_id="a", secret_access_key="b", endpoint_url=url)
    with pytest.raises(InvalidConfig) as caught:
        await AwsSession.load(keys, region="us-east-1")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("keys", [{"access_key_id": "a"}, {"secret_access_key": "b"}, {"session_token": "c"}])
def test_half_a_key_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        AwsCredentials(**keys)


async def test_secrets_are_in_no_repr() -> None:
    session = await AwsSession.load(KEYS, region="us-east-1")
    signed = await session.sign(HttpRequest("POST", session.url, {}))
    assert "canary" not in f"{KEYS!r} {session!r} {signed!r}"
    assert "Signature" not in repr(signed)


async def test_a_request_is_signed_as_botocore_signs_it() -> None:
    session = await AwsSession.load(KEYS, region="us-east-1")
    body = b'{"repositoryName": "app"}'
    signed = await session.sign(HttpRequest("POST", session.url, {"X-Amz-Target": "T"}, RequestBody.of(body)))
    same = AWSRequest("POST", session.url, {"X-Amz-Target": "T"}, body)
    signer = SigV4Auth(ReadOnlyCredentials("AKIAEXAMPLE", "canary-7d1f", "canary-70ce"), "ecr", "us-east-1")
    signer.add_auth(same)
    if signed.headers["X-Amz-Date"] != same.headers["X-Amz-Date"]:
        pytest.skip("the clock moved to the next second between the two signatures")
    assert dict(signed.headers) == dict(same.headers.items())


def credential_process(folder: Path, lifetime: timedelta) -> tuple[str, Path]:
    """A program that hands out credentials of a lifetime, a new key each time, and writes down each run."""
    log, program = folder / "runs", folder / "process.py"
    expiry = (datetime.now(UTC) + lifetime).isoformat()
    answer = {"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": expiry}
    program.write_text(
        f"import json, pathlib\nlog = pathlib.Path({str(log)!r})\nlog.open('a').write('x')\n"
        f"print(json.dumps({answer!r} | {{'AccessKeyId': 'KEY' + str(len(log.read_text()))}}))\n"
    )
    return f"{PYTHON} {shlex.quote(str(program))}", log


@pytest.mark.parametrize(("minutes", "refreshed"), [(60, False), (12, True)])
async def test_credentials_are_refreshed_only_when_they_are_about_to_expire(
    config: Path, tmp_path: Path, minutes: int, refreshed: bool
) -> None:
    command, log = credential_process(tmp_path, timedelta(minutes=minutes))
    write(config, f"[default]\nregion = eu-west-1\ncredential_process = {command}\n")
    session = await AwsSession.load()
    runs = log.stat().st_size
    first, second = [await session.sign(HttpRequest("POST", session.url, {})) for _ in range(2)]
    key = re.compile(r"Credential=(KEY\d+)/")
    assert (key.findall(first.headers["Authorization"]) != key.findall(second.headers["Authorization"])) is refreshed
    assert (log.stat().st_size > runs) is refreshed


async def test_the_event_loop_runs_on_while_credentials_are_looked_for(config: Path, tmp_path: Path) -> None:
    program = tmp_path / "slow.py"
    answer = json.dumps({"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"})
    write(program, f"import time\ntime.sleep(0.3)\nprint({answer!r})\n")
    write(config, f"[default]\nregion = eu-west-1\ncredential_process = {PYTHON} {shlex.quote(str(program))}\n")
    ticks = 0
    loading = asyncio.ensure_future(AwsSession.load())
    while not loading.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert (await loading).region == "eu-west-1"
    assert ticks > 15
