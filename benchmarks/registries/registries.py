"""
The registries of a run: started with what they hold, reached over the link, counted, and gone at the end.

Knows how each kind of registry is started and named; not what is done with it.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.clients.cpu import tree_seconds
from benchmarks.clients.processes import Service, link_before, service
from benchmarks.network.certificates import Certificates
from benchmarks.registries.access_log import AccessLog
from benchmarks.registries.v2 import Access
from benchmarks.values import BenchmarkFailed, Link

LOGIN = "transfer:transfer"
_DOCKER_REGISTRY = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
http:
  addr: 127.0.0.1:{port}
{tls}
"""
_TLS = "  tls: {{certificate: {file}, key: {file}}}"


@dataclass(frozen=True, slots=True)
class Wish:
    """
    A registry that a run needs.

    Attributes:
        kind: as a scenario names it.
        data: the folder that it runs on, and that outlives it; None is a new one that goes with it.
        seed: a data folder to copy into the new one, so that it holds something at first.
        certificates: with TLS, by these.
        link: what lies in front of it; None is nothing, not even counting.
        throttle: requests a second that the embedded one serves, by operation.
    """

    kind: str
    data: Path | None = None
    seed: Path | None = None
    certificates: Certificates | None = None
    link: Link | None = None
    throttle: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class End:
    """
    A registry that runs.

    Attributes:
        access: how the harness reaches it, past the link.
        address: `host:port` where tools reach it.
        name: what tools call the repository.
        tls: whether they speak TLS to it.
        environment: what tools need to know besides.
        log: requests by kind, CPU seconds and bytes of layers, as far as it knows.
        link: what it is reached over.
    """

    access: Access
    address: str
    name: str
    tls: bool
    environment: Mapping[str, str]
    log: Callable[[], Mapping[str, Any]]
    clear: Callable[[], object]
    link: Service | None = None

    def carried(self) -> Mapping[str, float]:
        """Connections, bytes each way and CPU seconds of its link; nothing without one."""
        return self.link.ask("count") if self.link is not None else {}


@contextmanager
def opened(wish: Wish, folder: Path, repository: str = "app") -> Iterator[End]:
    """A registry in a folder that is not there yet, for as long as the block."""
    if "://" in wish.kind:
        yield _elsewhere(wish.kind, os.environ.get("BENCH_REGISTRY_LOGIN", ""))
        return
    folder.mkdir(parents=True)
    data = wish.data or folder / "data"
    if wish.seed is not None:
        shutil.copytree(wish.seed, data)
    with ExitStack() as stack:
        start = _docker_registry if wish.kind == "docker-registry" else _embedded
        end = stack.enter_context(start(replace(wish, data=data), folder, repository))
        end = _linked(end, wish, stack)
        yield _called(end, wish, repository)


def _linked(end: End, wish: Wish, stack: ExitStack) -> End:
    """Return the registry behind its link, which ends TLS where the registry does not."""
    ends_tls = wish.certificates is not None and not end.tls
    if wish.link is None and not ends_tls:
        return end
    host, _, port = end.address.rpartition(":")
    certificate = wish.certificates.server if wish.certificates is not None and ends_tls else None
    link = stack.enter_context(link_before(host, int(port), wish.link or Link(), certificate=certificate))

    def clear() -> None:
        end.clear()
        link.ask("clear")

    address = f"127.0.0.1:{link.ready['port']}"
    return replace(end, address=address, tls=end.tls or ends_tls, link=link, clear=clear)


def _called(end: End, wish: Wish, repository: str) -> End:
    if wish.kind != "ecr":
        return replace(end, name=f"{end.address}/{repository}")
    scheme = "https" if end.tls else "http"
    return replace(end, environment={**end.environment, "AWS_ENDPOINT_URL_ECR": f"{scheme}://{end.address}"})


@contextmanager
def _embedded(wish: Wish, folder: Path, repository: str) -> Iterator[End]:
    del folder
    settings = {"data": str(wish.data), "throttle": dict(wish.throttle or {})}
    with service("benchmarks.registries.embedded", json.dumps(settings)) as registry:
        address = urlsplit(registry.ready["url"]).netloc
        yield End(
            access=Access(address, repository, LOGIN),
            address=address,
            name=f"{registry.ready['registry']}/{repository}",
            tls=False,
            environment=registry.ready["environment"] if wish.kind == "ecr" else {},
            log=lambda: registry.ask("log"),
            clear=lambda: registry.ask("clear"),
        )


@contextmanager
def _docker_registry(wish: Wish, folder: Path, repository: str) -> Iterator[End]:
    program = shutil.which("docker-registry")
    if program is None:
        raise BenchmarkFailed("docker-registry is not installed: apt-get install -y docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = wish.certificates.server if wish.certificates is not None else None
    tls = _TLS.format(file=file) if file else ""
    config, log = folder / "registry.yml", folder / "registry.log"
    config.write_text(_DOCKER_REGISTRY.format(root=wish.data, port=port, tls=tls))
    with log.open("wb") as out, subprocess.Popen([program, "serve", str(config)], stdout=out, stderr=out) as process:
        try:
            _await(port, process)
            address, asked = f"127.0.0.1:{port}", AccessLog(log, lambda: tree_seconds(process.pid))
            context = wish.certificates.context if wish.certificates is not None else None
            yield End(
                access=Access(address, repository, "", context),
                address=address,
                name="",
                tls=file is not None,
                environment={},
                log=asked.read,
                clear=asked.clear,
            )
        finally:
            process.terminate()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise BenchmarkFailed("docker-registry did not start")


def _elsewhere(url: str, login: str) -> End:
    """Return a registry that somebody else runs, with a repository of this run alone."""
    place = urlsplit(url)
    context = ssl.create_default_context() if place.scheme == "https" else None
    repository = f"{place.path.strip('/') or 'bench'}/{secrets.token_hex(6)}"
    return End(
        access=Access(place.netloc, repository, login, context),
        address=place.netloc,
        name=f"{place.netloc}/{repository}",
        tls=context is not None,
        environment={},
        log=dict,
        clear=dict,
    )
