"""Challenges are read without surprises, and realms are judged by where they would have a password go."""

import time

import pytest

from transfer.auth.challenge import Realm, choose, is_same_site, judge_realm, parse_challenges, token_url
from transfer.errors import Unauthorized

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'
REGISTRY = "https://registry.example"


def read(header: str) -> list[tuple[str, dict[str, str]]]:
    return [(one.scheme, dict(one.parameters)) for one in parse_challenges(header)]


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        (", ,", []),
        ("=", []),
        ('"', []),
        ("Basic", [("basic", {})]),
        ("BASIC Realm=x", [("basic", {"realm": "x"})]),
        ('Basic realm="a b, \\"c\\" \\\\"', [("basic", {"realm": 'a b, "c" \\'})]),
        (
            HUB,
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ('bearer  realm = "a" , service=b', [("bearer", {"realm": "a", "service": "b"})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Negotiate, Basic realm=a", [("negotiate", {}), ("basic", {"realm": "a"})]),
        ("Negotiate YWJj, Basic realm=a", [("negotiate", {}), ("basic", {"realm": "a"})]),
        ('Bearer realm="a",realm="https://evil.example"', [("bearer", {"realm": "a"})]),
        ('Bearer realm="never ended', [("bearer", {})]),
        ("Bearer realm=", [("bearer", {"realm": ""})]),
        ("Bearer ,,, realm=a,,", [("bearer", {"realm": "a"})]),
        ('Bearer realm="a"service="b"', [("bearer", {})]),
    ],
)
@pytest.mark.attack("www-authenticate")
def test_a_challenge_is_read_by_the_grammar(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert read(header) == challenges


@pytest.mark.parametrize(
    "header",
    [
        "B" * 1_000_000,
        "Bearer " + 'a="b",' * 200_000,
        "Bearer " + "a," * 200_000,
        "Basic " * 200_000,
        '"' * 500_000,
        'Bearer realm="' + "\\" * 200_000,
        "Bearer realm=" + " " * 200_000 + "x",
    ],
)
def test_a_huge_header_takes_no_time(header: str) -> None:
    began = time.monotonic()
    assert len(parse_challenges(header)) <= 16
    assert time.monotonic() - began < 0.5


def test_bearer_is_chosen_before_basic() -> None:
    assert choose(parse_challenges('Basic realm="a", Bearer realm="b"'), what="GET").scheme == "bearer"
    assert choose(parse_challenges("Digest nonce=1, Basic realm=a"), what="GET").scheme == "basic"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Digest nonce=1, Negotiate", "'digest, negotiate', and only Basic and Bearer are known"),
        ("", "sends no authentication challenge"),
    ],
)
def test_what_cannot_be_answered_is_named(header: str, reason: str) -> None:
    with pytest.raises(Unauthorized, match=f"^GET manifest: .*{reason}"):
        choose(parse_challenges(header), what="GET manifest")


@pytest.mark.parametrize(
    ("realm", "registry", "trusted"),
    [
        ("https://registry.example/token", REGISTRY, True),
        ("https://registry.example:8443/token", REGISTRY, True),
        ("https://REGISTRY.example/token", REGISTRY, True),
        ("https://auth.docker.io/token", "https://registry-1.docker.io", True),
        ("https://gitlab.com/jwt/auth", "https://registry.gitlab.com", True),
        ("https://api.scaleway.com/x", "https://rg.fr-par.scw.cloud", True),
        ("https://auth.other.example/token", REGISTRY, False),
        ("https://8.8.8.8/token", REGISTRY, False),
        ("https://b.azurecr.io/token", "https://a.azurecr.io", False),
        ("https://victim.co.uk/token", "https://evil.co.uk", False),
        ("https://evil.example.com/token?realm=registry.example", REGISTRY, False),
        ("https://registry.example.evil.com/token", REGISTRY, False),
        ("http://registry.example/token", "http://registry.example:5000", True),
        ("https://registry.example/token", "http://registry.example:5000", True),
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000", True),
    ],
)
@pytest.mark.attack("GHSA-28r5-37g7-p6mp")
def test_credentials_go_to_the_site_of_the_registry_alone(realm: str, registry: str, trusted: bool) -> None:
    assert judge_realm(realm, registry, what="GET").trusted is trusted


def test_a_host_that_the_user_names_is_trusted() -> None:
    realm = "https://10.0.0.7/token"
    assert judge_realm(realm, REGISTRY, what="GET", token_hosts=frozenset({"10.0.0.7"})).trusted


@pytest.mark.parametrize(
    "realm",
    [
        "",
        "token",
        "/token",
        "//auth.example/token",
        "ftp://registry.example/",
        "file:///etc/passwd",
        "http://registry.example/token",
        "https://169.254.169.254/latest/meta-data",
        "https://[fd00:ec2::254]/latest",
        "https://[::ffff:169.254.169.254]/",
        "https://127.0.0.1/token",
        "https://localhost/token",
        "https://a.localhost/token",
        "https://localhost./token",
        "https://10.1.2.3/token",
        "https://192.168.0.1/token",
        "https://2130706433/token",
        "https://0x7f.1/token",
        "https://0/token",
        "https://[::1]/token",
        "https://[::1/token",
        "https://user:password@registry.example/token",
        "https://evil.example@registry.example/token",
        "https://registry.example:0/token",
        "https://registry.example:99999/token",
        "https://registry.example\\@evil.example/token",
        "https://registry.example/\r\nHost: evil",
        "https://\u0440egistry.example/token",
        "https://registry.example/" + "a" * 20_000,
    ],
)
@pytest.mark.attack("CVE-2026-48978")
def test_a_realm_that_leads_astray_is_refused(realm: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        judge_realm(realm, REGISTRY, what="GET blob")
    assert str(caught.value).startswith("GET blob: ")
    assert "\n" not in str(caught.value)


# Names below which a hosting service gives one to everybody.
SHARED = (
    *("fly.dev", "cloudfront.net", "ngrok.io", "azurewebsites.net", "s3.amazonaws.com", "github.io", "workers.dev"),
    *("azurecr.io", "jfrog.io", "herokuapp.com", "gitlab.io", "nip.io", "xip.io"),
    *("loca.lt", "lhr.life", "vultrcr.com", "tencentcloudcr.com"),
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a.example.com", "b.example.com", True),
        ("example.com", "a.b.example.com", True),
        ("a.example.co.uk", "b.example.co.uk", True),
        ("a.co.uk", "b.co.uk", False),
        ("a.github.io", "b.github.io", False),
        ("x.a.azurecr.io", "a.azurecr.io", True),
        ("azurecr.io", "a.azurecr.io", False),
        ("1.2.3.4", "9.2.3.4", False),
        ("registry", "registry", True),
        ("registry", "auth", False),
        ("com", "com.com", False),
        ("auth.docker.io", "registry-1.docker.io", True),
        ("auth.docker.io", "index.docker.io", True),
        ("a.westeurope.cloudapp.azure.com", "b.westeurope.cloudapp.azure.com", False),
        ("vpce-1.api.ecr.us-east-1.vpce.amazonaws.com", "vpce-2.api.ecr.us-east-1.vpce.amazonaws.com", False),
        ("a.westeurope.cloudapp.azure.com", "a.westeurope.cloudapp.azure.com", True),
        *((f"a.{shared}", f"b.{shared}", False) for shared in SHARED),
        *((f"x.a.{shared}", f"a.{shared}", True) for shared in SHARED),
    ],
)
def test_a_site_is_what_one_owner_registered(one: str, other: str, same: bool) -> None:
    assert is_same_site(one, other) is same
    assert is_same_site(other, one) is same


def test_a_token_is_asked_for_by_the_specification() -> None:
    realm = Realm("https://a.example/token?x=1", "a.example", trusted=True)
    url = token_url(realm, "reg & co", ("repository:a/b:pull,push", "repository:c:pull"), "me")
    assert url == (
        "https://a.example/token?x=1&account=me&service=reg+%26+co"
        "&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull"
    )


def test_a_challenge_without_a_query_gets_none() -> None:
    assert token_url(Realm("https://a.example/token", "a.example", trusted=False), "", (), None).endswith("/token")
