"""Tags that do not move, as each kind of registry says it."""

from pathlib import Path

import pytest

from tests.support.distribution_ends import opened
from tests.support.scripted import Arrived, Step, answer, scripted
from transfer import AwsCredentials, Engine, Server, TagImmutable, TransferConfig, open_ecr
from transfer.endpoints.registry_access import RegistryAccess
from transfer.http.settings import RegistrySettings
from transfer.model.digest import Digest
from transfer.model.manifest import parse_manifest
from transfer.testing.images import ImageBuilder

LOGIN = RegistryAccess(login="transfer:transfer")
OTHER = Digest.of(b"another image")


def refusal(status: int, code: str) -> Step:
    return answer(status, {"errors": [{"code": code, "message": "configured as immutable"}]})


@pytest.mark.parametrize(("status", "code"), [(400, "TAG_INVALID"), (412, "PRECONDITION")], ids=["ecr", "harbor"])
@pytest.mark.parametrize("same", [True, False])
async def test_what_the_tag_holds_decides(status: int, code: str, same: bool, layout: ImageBuilder) -> None:
    image = layout.image([10])
    manifest = parse_manifest(image.content(image.root), image.root)

    async def choose(request: Arrived) -> Step:
        if request.line.startswith("PUT"):
            return refusal(status, code)
        return answer(200, b"", Docker_Content_Digest=image.root.digest if same else OTHER)

    async with scripted(answer()) as peer:
        peer.choose = choose  # type: ignore[method-assign]
        async with opened(f"127.0.0.1:{peer.port}", settings=RegistrySettings(plain_http=True)) as registry:
            target = registry.target("app")
            if same:
                await target.push_manifest(manifest, tag="v1")
            else:
                with pytest.raises(TagImmutable, match="configured as immutable; use another tag") as caught:
                    await target.push_manifest(manifest, tag="v1")
                assert caught.value.side == "target"
    assert [request.line.split()[:2] for request in peer.requests] == [
        ["PUT", "/v2/app/manifests/v1"],
        ["HEAD", "/v2/app/manifests/v1"],
    ]


@pytest.mark.parametrize("dialect", ["oci", "ecr"])
async def test_both_dialects_of_the_embedded_registry_are_understood(
    dialect: str, layout: ImageBuilder, tmp_path: Path
) -> None:
    old, new = layout.image([10], seed=1, tag="old"), layout.image([10], seed=2, tag="new")
    async with Server(dialect=dialect) as server, Engine(TransferConfig(state_path=tmp_path / "journal")) as engine:
        keys = AwsCredentials(access_key_id="transfer", secret_access_key="transfer", endpoint_url=server.url)
        async with open_ecr(region="us-east-1", credentials=keys) as client:
            await client.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
        app = f"{server.url.partition('//')[2]}/app:v1"
        await engine.push(old.source, app, target_access=LOGIN)
        again = await engine.push(old.source, app, target_access=LOGIN)
        with pytest.raises(TagImmutable, match="v1"):
            await engine.push(new.source, app, target_access=LOGIN)
    assert again.uploaded.count == 0
