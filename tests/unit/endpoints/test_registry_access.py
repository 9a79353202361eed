"""What is said of one side's registry, and what contradicts itself."""

from typing import Any

import pytest

from transfer.auth.credentials import Anonymous, FixedLogin, StoredCredentials
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig

SECRET = "canary-2b91"


@pytest.mark.parametrize(
    ("access", "kind"),
    [
        (RegistryAccess(), StoredCredentials),
        (RegistryAccess(login=f"me:{SECRET}"), FixedLogin),
        (RegistryAccess(anonymous=True), Anonymous),
    ],
)
def test_where_logins_come_from(access: RegistryAccess, kind: type) -> None:
    assert type(access.logins()) is kind
    assert SECRET not in repr(access)


@pytest.mark.parametrize(
    "contradiction",
    [{"login": f"me:{SECRET}"}, {"login": ""}, {"profile": "dev"}, {"role": "arn:aws:iam::123456789012:role/x"}],
)
def test_somebody_and_nobody_exclude_each_other(contradiction: dict[str, str]) -> None:
    with pytest.raises(InvalidConfig, match="exclude each other") as caught:
        RegistryAccess(anonymous=True, **contradiction)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{"profile": "dev"}, {"role": "arn:aws:iam::123456789012:role/x"}, {"endpoint_url": "http://ecr.example"}],
)
def test_who_to_be_at_aws_is_no_login_for_another_registry(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match="name a login for this one"):
        RegistryAccess(**settings).logins()


def test_token_hosts_reach_the_registrys_settings() -> None:
    hosts = frozenset({"auth.example", "10.0.0.1"})
    assert RegistryAccess(token_hosts=hosts).settings().token_hosts == hosts


@pytest.mark.parametrize(
    "host", ["", "https://auth.example", "auth.example/token", "auth.example:443", "Auth.example", "a b", "x\n", "*"]
)
def test_what_is_no_token_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidConfig, match="expected a host name"):
        RegistryAccess(token_hosts=frozenset({host}))
