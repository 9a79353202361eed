"""How many chunks large blobs take, counted at the registry."""

from transfer import Engine, RegistryAccess, Server, TransferConfig
from transfer.testing.images import ImageBuilder

MIB = 1024 * 1024


async def test_a_fast_link_gets_few_and_large_chunks(layout: ImageBuilder) -> None:
    first, second = layout.image([100 * MIB], seed=1, tag="v1"), layout.image([100 * MIB], seed=2, tag="v2")
    async with Server(auth=False) as server, Engine(TransferConfig(journal=False)) as engine:
        target = f"{server.url.removeprefix('http://')}/app"
        for image, chunks in ((first, [8, 32, 32, 28]), (second, [32, 32, 32, 4])):
            server.requests.clear()
            await engine.push(image.source, f"{target}:v1", target_access=RegistryAccess(plain_http=True))
            sent = [record.blob_bytes for record in server.requests.of("PatchUpload")]
            assert sent == [size * MIB for size in chunks]
