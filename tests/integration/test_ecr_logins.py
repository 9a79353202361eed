"""ECR's token as a login at its registries."""

import pytest

from tests.support.scripted import answer, scripted
from transfer import AwsCredentials, Server, open_ecr
from transfer.errors import CredentialsMissing
from transfer.registry.ecr.login import EcrLogins

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def keys(url: str) -> AwsCredentials:
    return AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=url)


async def test_a_token_is_called_for_once_until_it_nears_its_end(server: Server) -> None:
    async with open_ecr(region="us-east-1", credentials=keys(server.url)) as client:
        times = [0.0]
        logins = EcrLogins(client, clock=lambda: times[0])
        first = await logins.find(REGISTRY, "app")
        again = await logins.find(REGISTRY, "other")
        assert first.expires_at is not None
        times[0] = first.expires_at - 1700
        later = await logins.find(REGISTRY, "app")

    assert (first.username, again, server.requests.count("GetAuthorizationToken")) == ("AWS", first, 2)
    assert later.password
    assert first.password not in repr(first)


async def test_a_token_that_was_refused_is_called_for_anew(server: Server) -> None:
    async with open_ecr(region="us-east-1", credentials=keys(server.url)) as client:
        logins = EcrLogins(client, clock=lambda: 0.0)
        await logins.find(REGISTRY, "app")
        logins.forget(REGISTRY)
        await logins.find(REGISTRY, "app")

    assert server.requests.count("GetAuthorizationToken") == 2


@pytest.mark.parametrize("token", ["", "!!!", "QVdT", "/w=="])
async def test_an_answer_without_a_token_is_no_login(token: str) -> None:
    data = {"authorizationData": [{"authorizationToken": token, "expiresAt": 1}] if token else []}
    async with scripted(answer(200, data)) as peer, open_ecr(region="us-east-1", credentials=keys(peer.url)) as client:
        with pytest.raises(CredentialsMissing, match="holds no token"):
            await EcrLogins(client).find(REGISTRY, "app")
