"""Large layers read in parallel over a slow link, from both protocols, counted at the server."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.clients.processes import link_before
from benchmarks.values import Link
from transfer import AwsCredentials, Engine, Server
from transfer.endpoints.registry_access import RegistryAccess
from transfer.http.ranges import RANGE
from transfer.server import RequestRecord
from transfer.testing.images import ImageBuilder

MIB = 1024 * 1024
LOGIN = RegistryAccess(login="transfer:transfer", plain_http=True)
DOWNLOAD = {"oci": "GetBlob", "ecr": "DownloadLayer"}


@pytest.fixture
def link(server: Server) -> Iterator[str]:
    """The server behind a link that gives each connection 16 MiB/s at 20 ms."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with link_before(host, int(port), Link(round_trip_ms=20, connection_mb_per_second=16 * MIB / 1e6)) as slow:
        yield f"127.0.0.1:{slow.ready['port']}"


async def copied(server: Server, link: str, protocol: str, layout: ImageBuilder, sizes: list[int], out: Path) -> None:
    """Push an image past the link, and copy it to disk over the link; the log then has what the copy asked for."""
    image = layout.image(sizes)
    direct, slow = (
        AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=url)
        for url in (server.url, f"http://{link}")
    )
    async with Engine(credentials=direct) as engine:
        await engine.push(image.source, f"{server.registry}/app:v1", create_repository=True)
    server.requests.clear()
    source = f"{link}/app:v1" if protocol == "oci" else f"{server.registry}/app:v1"
    async with Engine(credentials=slow) as engine:
        result = await engine.copy(source, f"oci:{out}:v1", source_access=LOGIN)
    assert result.digest == image.root.digest
    for blob in image.blobs:
        assert (out / "blobs" / "sha256" / blob.digest.encoded).read_bytes() == image.content(blob)


def by_blob(server: Server, protocol: str) -> dict[str, list[RequestRecord]]:
    """The answered downloads of each blob of more than a range, by their first byte."""
    found: defaultdict[str, list[RequestRecord]] = defaultdict(list)
    for record in server.requests.of(DOWNLOAD[protocol]):
        if record.status == 206:
            found[str(record.digest)].append(record)
    return {digest: sorted(records, key=lambda one: one.first_byte or 0) for digest, records in found.items()}


@pytest.mark.parametrize("protocol", DOWNLOAD)
async def test_one_large_layer_is_read_in_ranges_and_each_byte_served_once(
    server: Server, link: str, layout: ImageBuilder, tmp_path: Path, protocol: str
) -> None:
    size = 12 * RANGE + 5
    await copied(server, link, protocol, layout, [size, 1000], tmp_path / "out")
    ((_, records),) = by_blob(server, protocol).items()
    spans = [(record.first_byte, record.last_byte) for record in records]
    ends = [*range(RANGE, 12 * RANGE, RANGE), size]
    assert spans == [(first, end - 1) for first, end in zip([0, *ends[:-1]], ends, strict=True)]
    assert sum(record.blob_bytes for record in records) == size
    asked = Counter(record.operation for record in server.requests)
    assert asked["GetDownloadUrlForLayer"] == (3 if protocol == "ecr" else 0), "each layer's address is asked for once"


@pytest.mark.parametrize("protocol", DOWNLOAD)
async def test_many_large_layers_are_read_in_about_one_stream_each(
    server: Server, link: str, layout: ImageBuilder, tmp_path: Path, protocol: str
) -> None:
    sizes = [4 * RANGE + number for number in range(16)]
    await copied(server, link, protocol, layout, sizes, tmp_path / "out")
    records = by_blob(server, protocol)
    whole = [one for one in server.requests.of(DOWNLOAD[protocol]) if one.status == 200 and one.blob_bytes > RANGE]
    assert sum(one.blob_bytes for blob in records.values() for one in blob) + sum(one.blob_bytes for one in whole) == (
        sum(sizes)
    )
    assert sum(len(blob) for blob in records.values()) + len(whole) <= 2 * len(sizes)
