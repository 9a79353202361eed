"""Which hosts a proxy is asked for, as Go's tools and curl read HTTP_PROXY and NO_PROXY."""

import pytest

from transfer.http.route import find_route, is_listed
from transfer.http.settings import SYSTEM_TLS

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "listed"),
    [
        ("registry.example", 443, "", False),
        ("registry.example", 443, "*", True),
        ("registry.example", 443, "other.example, *", True),
        ("registry.example", 443, "registry.example", True),
        ("a.registry.example", 443, "registry.example", True),
        ("notregistry.example", 443, "registry.example", False),
        ("registry.corp", 443, ".corp", True),
        ("corp", 443, ".corp", True),
        ("registry.corp", 443, "*.corp", True),
        ("corp", 443, "*.corp", False),
        ("registry.corp", 443, "  .other ,.corp ", True),
        ("registry.corp", 443, ".other .corp", True),
        ("Registry.CORP", 443, ".corp", True),
        ("registry.corp.", 443, "registry.corp", True),
        ("registry.example", 5000, "registry.example:5000", True),
        ("registry.example", 443, "registry.example:5000", False),
        ("a.registry.example", 5000, ".registry.example:5000", True),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.1.2.3", True),
        ("10.1.2.33", 443, "10.1.2.3", False),
        ("10.1.2.3", 5000, "10.1.2.3:5000", True),
        ("10.1.2.3", 443, "10.1.2.3:5000", False),
        ("10.1.2.3", 443, "2.3", False),
        ("fd00::1", 443, "fd00::/8", True),
        ("fd00::1", 443, "[fd00::1]", True),
        ("fd00::1", 5000, "[fd00::1]:5000", True),
        ("fd00::1", 443, "[fd00::1]:5000", False),
        ("registry.example", 443, "10.0.0.0/8", False),
        ("registry.example", 443, "10.0.0.0/99,//,:,.,[", False),
    ],
)
def test_no_proxy_names_hosts(host: str, port: int, no_proxy: str, listed: bool) -> None:
    assert is_listed(host, port, no_proxy) is listed


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://registry.example/v2/", PROXY),
        ("https://registry.example/v2/", PROXY),
        *((f"http://{host}/v2/", None) for host in ("127.0.0.1:5000", "127.9.9.9", "localhost:5000", "[::1]:5000")),
        ("http://a.localhost/v2/", None),
        ("http://10.1.2.3/v2/", None),
        ("https://registry.corp:8443/v2/", None),
        ("https://registry.corp/v2/", PROXY),
    ],
)
def test_a_proxy_is_asked_for_hosts_elsewhere(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("no_proxy", "10.0.0.0/8,.corp:8443")

    assert find_route(url, SYSTEM_TLS, {}).proxy == proxy
