"""The embedded registry in other people's tests: without asyncio, as a decorator, and as fixtures of pytest."""

import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import boto3
import pytest

from transfer import RegistryAccess, Server, TransferConfig, sync
from transfer.testing.images import ImageBuilder

ROOT = Path(__file__).parents[2]
NO_JOURNAL = TransferConfig(journal=False)


def names_of(server: Server) -> list[str]:
    client = boto3.client(
        "ecr",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="transfer",
        aws_secret_access_key="transfer",
    )
    try:
        client.create_repository(repositoryName="app")
        return [one["repositoryName"] for one in client.describe_repositories()["repositories"]]
    finally:
        client.close()


def test_boto3_in_the_same_thread_is_answered() -> None:
    threads = threading.active_count()
    with Server() as server:
        assert names_of(server) == ["app"]
        assert server.requests.count("CreateRepository") == 1
    assert threading.active_count() == threads


def test_it_starts_again_with_the_same_data(tmp_path: Path, layout: ImageBuilder) -> None:
    server = Server(data=tmp_path / "data", auth=False)
    access = RegistryAccess(plain_http=True)
    with server:
        sync.push_image(layout.image(tag="v1").source, f"{server.host}/app:v1", config=NO_JOURNAL, target_access=access)
    with server, sync.Engine(NO_JOURNAL) as engine:
        assert list(engine.tags(f"{server.host}/app", access=access)) == ["v1"]


def test_a_server_that_cannot_start_leaves_no_thread() -> None:
    threads = threading.active_count()
    with Server() as server, pytest.raises(OSError, match="in use"), Server(port=int(server.host.rpartition(":")[2])):
        pass
    assert threading.active_count() == threads


@Server()
def test_it_is_a_decorator(server: Server, tmp_path: Path) -> None:
    assert tmp_path.is_dir()
    assert names_of(server) == ["app"]


def test_the_fixtures_are_there_wherever_the_package_is_installed(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        """
import urllib.request

def test_ecr(ecr_registry, ecr_client):
    ecr_client.create_repository(repositoryName="app")
    assert ecr_registry.requests.count("CreateRepository") == 1

def test_oci(oci_registry):
    with urllib.request.urlopen(f"http://{oci_registry.host}/v2/") as answer:
        assert answer.status == 200
"""
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "transfer.testing.plugin", "-p", "no:cacheprovider", "."],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            # As it is named below, and not once more by its entry point.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
    )
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


def test_the_plugin_costs_a_run_without_its_fixtures_nothing() -> None:
    code = (
        "import sys, transfer.testing.plugin; print(sorted({'aiohttp', 'boto3', 'transfer.server'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"transfer": "transfer.testing.plugin"}
