"""An engine that is left while its copies are at work: they are ended, and whoever waits for one gets an error."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.relay import relay
from transfer import Engine, Server, TransferConfig, TransferError
from transfer.endpoints.registry_access import RegistryAccess
from transfer.testing.images import BuiltImage, ImageBuilder

ACCESS = RegistryAccess(login="transfer:transfer", plain_http=True)
Work = Callable[[Engine, BuiltImage, str], Awaitable[object]]
WORK: dict[str, Work] = {
    "push": lambda engine, image, app: engine.push(image.source, f"{app}:v1", target_access=ACCESS),
    "inspect": lambda engine, _, app: engine.inspect(f"{app}:v1", access=ACCESS),
    "digests": lambda engine, _, app: engine.digests(app, ["v1"], access=ACCESS),
    "check_login": lambda engine, _, app: engine.check_login(app, access=ACCESS),
    "delete": lambda engine, _, app: engine.delete(f"{app}:v1", access=ACCESS),
}


@pytest.mark.parametrize("name", WORK)
async def test_what_is_still_at_work_ends_with_the_engine(name: str, layout: ImageBuilder) -> None:
    image, before = layout.image([3_000_000]), asyncio.all_tasks()
    async with Server() as server, relay(int(server.url.rpartition(":")[2])) as between:
        between.stall()
        async with Engine(TransferConfig(journal=False)) as engine:
            waiting = asyncio.create_task(_run(WORK[name], engine, image, f"127.0.0.1:{between.port}/app"))
            await asyncio.sleep(0.1)
            assert not waiting.done()

        with pytest.raises(TransferError, match="closed") as caught:
            await waiting
        assert "\n" not in str(caught.value)
        assert engine.limits.idle
    assert asyncio.all_tasks() == before


async def _run(work: Work, engine: Engine, image: BuiltImage, app: str) -> object:
    return await work(engine, image, app)


async def test_a_gather_that_fails_ends_the_other_copies(layout: ImageBuilder) -> None:
    image = layout.image([3_000_000])

    async with Server() as server, relay(int(server.url.rpartition(":")[2])) as between:
        app = f"127.0.0.1:{between.port}/app"
        between.stall()
        with pytest.raises(TransferError, match="no such folder"):
            async with Engine(TransferConfig(journal=False)) as engine:
                await asyncio.gather(
                    *(engine.push(image.source, f"{app}:{number}", target_access=ACCESS) for number in range(5)),
                    engine.push("oci:/absent:v1", f"{app}:v1", target_access=ACCESS),
                )
        between.flow()
        assert not server.requests.of("PutManifest")


async def test_who_cancels_a_copy_gets_a_cancellation(layout: ImageBuilder) -> None:
    image = layout.image([3_000_000])
    async with Server() as server, relay(int(server.url.rpartition(":")[2])) as between:
        between.stall()
        async with Engine(TransferConfig(journal=False)) as engine:
            app = f"127.0.0.1:{between.port}/app"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.push(image.source, f"{app}:v1", target_access=ACCESS), 0.1)
            assert engine.limits.idle
