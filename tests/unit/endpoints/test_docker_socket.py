"""Where docker's command line would look for its daemon."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from transfer.endpoints.docker_socket import DaemonAddress, find_daemon
from transfer.errors import InvalidConfig


def context(home: Path, name: str, host: str, *, tls: bool = False, skip: bool = False) -> Path:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": skip}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    certificates = home / ".docker" / "contexts" / "tls" / key / "docker"
    if tls:
        certificates.mkdir(parents=True)
    return certificates


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({"DOCKER_HOST": "unix:///x.sock"}, DaemonAddress("unix:///x.sock", None, verify=False)),
        ({"DOCKER_HOST": "tcp://h:2375"}, DaemonAddress("tcp://h:2375", None, verify=False)),
        (
            {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
            DaemonAddress("tcp://h:2376", Path("/certs"), verify=True),
        ),
        (
            {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/certs"},
            DaemonAddress("tcp://h:2376", Path("/certs"), verify=False),
        ),
    ],
)
def test_the_environment_names_it(environment: Mapping[str, str], address: DaemonAddress, tmp_path: Path) -> None:
    assert find_daemon(environment, tmp_path) == address


def test_a_context_names_it(tmp_path: Path) -> None:
    certificates = context(tmp_path, "far", "tcp://far:2376", tls=True)
    context(tmp_path, "near", "unix:///near.sock")
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"currentContext": "near", "auths": {}}))

    assert find_daemon({}, tmp_path) == DaemonAddress("unix:///near.sock")
    assert find_daemon({"DOCKER_CONTEXT": "far"}, tmp_path) == DaemonAddress("tcp://far:2376", certificates)
    assert find_daemon({"DOCKER_CONTEXT": "far", "DOCKER_HOST": "unix:///x"}, tmp_path).url == "unix:///x"
    assert find_daemon({"DOCKER_CONTEXT": "default"}, tmp_path).url.startswith("unix://")


def test_the_socket_of_podman_is_found_where_only_that_is_there(tmp_path: Path) -> None:
    if Path("/var/run/docker.sock").exists():
        pytest.skip("docker runs here")
    socket = tmp_path / "podman" / "podman.sock"
    socket.parent.mkdir()
    socket.touch()

    assert find_daemon({"XDG_RUNTIME_DIR": str(tmp_path)}, tmp_path) == DaemonAddress(f"unix://{socket}")


@pytest.mark.parametrize(
    "environment", [{"DOCKER_HOST": "ssh://u@h"}, {"DOCKER_HOST": "x"}, {"DOCKER_CONTEXT": "gone"}]
)
def test_what_cannot_be_reached_is_named(environment: Mapping[str, str], tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"DOCKER_HOST|docker context"):
        find_daemon(environment, tmp_path)
