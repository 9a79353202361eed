"""A mirror between embedded registries: what it asks, what it moves, and what becomes of images that fail."""

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
import pytest_asyncio

from tests.support.mirrors import FAST, LOGIN, asked, host
from tests.support.v2_calls import V2
from transfer import AwsCredentials, Engine, InvalidConfig, Server, TransferConfig, open_ecr
from transfer.job import Destination, Job
from transfer.mirror import (
    CreateRepository,
    ImageReport,
    MirrorConfig,
    MirrorReport,
    MirrorRule,
    Prune,
    RegistryConfig,
    TagFilter,
    mirror,
)
from transfer.mirror.plan.registry_access import Accesses
from transfer.mirror.run.run import MirrorRun
from transfer.testing.images import BuiltImage, ImageBuilder

MIB = 1024 * 1024
TAGS = 20


@dataclass
class Site:
    """A source and two targets, all empty."""

    source: Server
    target: Server
    other: Server
    layout: ImageBuilder

    @property
    def credentials(self) -> AwsCredentials:
        return AwsCredentials(
            access_key_id="transfer", secret_access_key="transfer", endpoint_url=self.target.url, region="us-east-1"
        )

    @property
    def registries(self) -> dict[str, RegistryConfig]:
        login = RegistryConfig(username="transfer", password="transfer")
        return {host(one): login for one in (self.source, self.target, self.other)}

    async def fill(self, repository: str, tags: Sequence[str], *, sizes: Sequence[int] = (300,)) -> list[BuiltImage]:
        """Put an image for each tag into a repository of the source, all with one layer in common."""
        shared = self.layout.layer(5000, seed=5)
        images = [
            self.layout.image(sizes, seed=(seed := seed_of(repository + tag)), tag=f"t{seed}", layers=[shared])
            for tag in tags
        ]
        async with Engine(FAST) as engine:
            for tag, image in zip(tags, images, strict=True):
                await engine.push(image.source, f"{host(self.source)}/{repository}:{tag}", target_access=LOGIN)
        self.source.requests.clear()
        return images

    async def run(self, *mappings: MirrorRule, jobs: int | None = None, **options: Any) -> MirrorReport:
        config = MirrorConfig(mappings=mappings, registries=self.registries, jobs=jobs)
        settings: dict[str, Any] = {"limits": FAST, "credentials": self.credentials, **options}
        return await mirror(config, **settings)

    async def tags(self, server: Server, repository: str) -> dict[str, str]:
        """The tags of a repository, and what they hold."""
        async with Engine(FAST) as engine:
            place = f"{host(server)}/{repository}"
            names = [tag async for tag in engine.tags(place, access=LOGIN)]
            return {tag: str(one) for tag, one in (await engine.digests(place, names, access=LOGIN)).items()}

    def clear(self) -> None:
        for server in (self.source, self.target, self.other):
            server.requests.clear()


def seed_of(text: str) -> int:
    return zlib.crc32(text.encode()) % 1_000_000


@pytest_asyncio.fixture
async def site(layout: ImageBuilder) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        source, target, other = [await stack.enter_async_context(Server()) for _ in range(3)]
        yield Site(source, target, other, layout)


def everything(site: Site, *targets: str, repository: str = "team/app", **settings: Any) -> MirrorRule:
    return MirrorRule(source=f"{host(site.source)}/{repository}", targets=targets, **settings)


async def test_an_unchanged_mirror_into_ecr_costs_one_head_a_tag_and_one_call(site: Site) -> None:
    images = await site.fill("team/app", [f"v{number}" for number in range(TAGS)])
    mapping = everything(site, f"{site.target.registry}/mirror/{{name}}", create=CreateRepository())
    report = await site.run(mapping)
    assert report.counts == {"copied": TAGS}
    blobs = {blob.digest for image in images for blob in image.blobs}
    assert Counter(record.digest for record in site.source.requests.of("GetBlob")) == Counter(dict.fromkeys(blobs, 1))
    assert asked(site.target)["CompleteLayerUpload"] == len(blobs)

    site.clear()
    report = await site.run(mapping)
    assert report.counts == {"unchanged": TAGS}
    assert {one.digest for one in report.images} == {image.root.digest for image in images}
    assert asked(site.source) == {"ListTags": 1, "HeadManifest": TAGS}
    assert len(site.source.requests) == 1 + 1 + TAGS, "one request learns that a login is wanted"
    assert asked(site.target) == {"BatchGetImage": 1}


async def test_tags_that_are_named_are_not_listed(site: Site) -> None:
    await site.fill("team/app", ["v1", "v2", "v3"])
    target = f"{host(site.target)}/mirror/"
    report = await site.run(everything(site, target, tags=(TagFilter(exact=("v1", "v3")),)))
    assert report.counts == {"copied": 2}
    assert asked(site.source)["ListTags"] == 0
    assert set(await site.tags(site.target, "mirror/team/app")) == {"v1", "v3"}


async def test_repositories_are_found_by_a_pattern_and_tags_chosen_by_filters(site: Site) -> None:
    for repository in ("team/app", "team/tool", "other/app"):
        await site.fill(repository, ["1.0.0", "1.2.0", "2.0.0", "2.0.0-rc1", "latest"])
    mapping = MirrorRule(
        source=f"{host(site.source)}/team/*",
        targets=(f"{host(site.target)}/mirror/{{name}}",),
        tags=(TagFilter(semver=(">=1.1",), newest=2),),
    )
    report = await site.run(mapping)
    assert report.counts == {"copied": 4}
    for name in ("app", "tool"):
        assert set(await site.tags(site.target, f"mirror/{name}")) == {"1.2.0", "2.0.0"}


async def test_several_targets_each_get_every_image(site: Site) -> None:
    images = await site.fill("team/app", ["v1", "v2"])
    targets = [f"{host(server)}/mirror/{{name}}" for server in (site.target, site.other)]
    report = await site.run(everything(site, *targets))
    assert report.counts == {"copied": 4}
    reads = Counter(record.digest for record in site.source.requests.of("GetBlob"))
    assert reads == Counter({blob.digest: 1 for image in images for blob in image.blobs})
    assert await site.tags(site.target, "mirror/app") == await site.tags(site.other, "mirror/app")


async def test_a_layer_of_many_repositories_is_sent_once_and_mounted_from_then_on(site: Site) -> None:
    repositories = [f"team/app{number}" for number in range(6)]
    images = [(await site.fill(repository, ["v1"]))[0] for repository in repositories]
    shared = next(blob.digest for blob in images[0].blobs if blob.digest in {one.digest for one in images[1].blobs})
    mapping = MirrorRule(source=f"{host(site.source)}/team/*", targets=(f"{host(site.target)}/mirror/{{name}}",))
    report = await site.run(mapping)
    assert report.counts == {"copied": 6}
    assert Counter(record.digest for record in site.source.requests.of("GetBlob"))[shared] == 1
    mounts = [record for record in site.target.requests.of("MountBlob") if record.status == 201]
    assert Counter(record.digest for record in mounts) == {shared: 5}
    for number, image in enumerate(images):
        assert await site.tags(site.target, f"mirror/app{number}") == {"v1": image.root.digest}


async def test_a_layer_of_many_repositories_is_read_once_for_two_targets_and_mounted_at_both(site: Site) -> None:
    images = [(await site.fill(f"team/app{number}", ["v1"]))[0] for number in range(6)]
    shared = next(blob.digest for blob in images[0].blobs if blob.digest in {one.digest for one in images[1].blobs})
    targets = tuple(f"{host(server)}/mirror/{{name}}" for server in (site.target, site.other))
    report = await site.run(MirrorRule(source=f"{host(site.source)}/team/*", targets=targets))
    assert report.counts == {"copied": 12}
    assert Counter(record.digest for record in site.source.requests.of("GetBlob"))[shared] == 1
    for server in (site.target, site.other):
        mounts = [record for record in server.requests.of("MountBlob") if record.status == 201]
        assert Counter(record.digest for record in mounts) == {shared: 5}


async def test_a_registry_that_mounts_nothing_is_asked_once_and_fed_from_one_read(
    layout: ImageBuilder, site: Site
) -> None:
    images = [(await site.fill(f"team/app{number}", ["v1"]))[0] for number in range(6)]
    shared = next(blob.digest for blob in images[0].blobs if blob.digest in {one.digest for one in images[1].blobs})
    async with Server(dialect="ecr", create_on_push=True) as unwilling:
        at_ecr = Site(site.source, unwilling, site.other, layout)
        mapping = MirrorRule(source=f"{host(site.source)}/team/*", targets=(f"{host(unwilling)}/mirror/{{name}}",))
        report = await at_ecr.run(mapping)
        assert report.counts == {"copied": 6}
        assert unwilling.requests.count("MountBlob", 202) <= 2
        assert Counter(record.digest for record in site.source.requests.of("GetBlob"))[shared] == 2


async def test_one_bad_image_stops_no_other_one_and_the_next_run_does_only_those(site: Site, tmp_path: Path) -> None:
    tags = [f"v{number}" for number in range(8)]
    await site.fill("team/app", tags)
    missing = MirrorRule(
        source=f"{host(site.source)}/team/app",
        targets=(f"{host(site.target)}/mirror/app",),
        tags=(TagFilter(exact=(*tags, "absent", "v100")),),
    )
    reported: list[ImageReport] = []
    report = await site.run(missing, on_image=reported.append)
    assert report.counts == {"copied": 8, "failed": 2}
    assert list(report.images) == reported
    assert {(one.error, one.side) for one in report.failed} == {("NotFound", "source")}
    assert all("no such image" in (one.message or "") for one in report.failed)
    site.clear()
    await site.fill("team/app", ["absent"])
    report = await site.run(missing, only=frozenset(one.target for one in report.failed))
    assert report.counts == {"copied": 1, "failed": 1}
    assert asked(site.target)["PutManifest"] == 1


async def test_a_mapping_that_cannot_be_read_is_a_mistake_and_the_others_run(site: Site) -> None:
    await site.fill("team/app", ["v1"])
    target = f"{host(site.target)}/mirror/"
    gone = MirrorRule(source=f"{host(site.source)}/team/gone", targets=(target,))
    report = await site.run(gone, everything(site, target))
    assert report.counts == {"copied": 1, "failed": 1}
    (mistake,) = report.mistakes
    assert (mistake.mapping, mistake.error) == ("mappings[0]", "NotFound")


async def test_fail_fast_begins_nothing_more(site: Site) -> None:
    await site.fill("team/app", [f"v{number}" for number in range(6)])
    mapping = everything(site, f"{host(site.target)}/mirror/app", tags=(TagFilter(glob=("v*",), exact=("absent",)),))
    report = await site.run(mapping, fail_fast=True, jobs=1)
    assert report.counts["failed"] == 1
    assert report.counts["stopped"] == 6


async def test_two_mappings_that_write_one_tag_from_two_sources_are_told(site: Site) -> None:
    await site.fill("team/app", ["v1"])
    await site.fill("team/tool", ["v1"])
    target = f"{host(site.target)}/mirror/one"
    first = MirrorRule(source=f"{host(site.source)}/team/app", targets=(target,))
    second = MirrorRule(source=f"{host(site.source)}/team/tool", targets=(target,))
    report = await site.run(first, second)
    assert report.counts == {"copied": 1, "failed": 1}
    (failed,) = report.failed
    assert "writes it too" in (failed.message or "")
    assert "mappings[" in (failed.message or "")


async def test_what_is_wrong_in_a_configuration_is_refused_before_anything_is_asked(site: Site) -> None:
    with pytest.raises(InvalidConfig, match=r"mappings\[0\]\.targets"):
        await site.run(MirrorRule(source=f"{host(site.source)}/team/app", targets=()))
    assert len(site.source.requests) == 0


async def test_a_missing_repository_of_ecr_is_an_error_that_says_what_to_do(site: Site) -> None:
    await site.fill("team/app", ["v1"])
    report = await site.run(everything(site, f"{site.target.registry}/absent"))
    (failed,) = report.failed
    assert (failed.error, failed.side) == ("NotFound", "target")
    assert any("create" in note for note in failed.notes)
    assert asked(site.target)["InitiateLayerUpload"] == 0


async def test_a_stopped_mirror_ends_what_is_in_work_and_reports_the_rest(site: Site) -> None:
    await site.fill("team/app", [f"v{number}" for number in range(12)])
    running: list[MirrorRun] = []

    def stop(report: ImageReport) -> None:
        running[0].stop(grace=30)

    report = await site.run(
        everything(site, f"{host(site.target)}/mirror/app"), jobs=2, on_start=running.append, on_image=stop
    )
    assert report.stopped
    assert report.counts["copied"] >= 1
    assert report.counts["copied"] + report.counts["stopped"] == 12
    assert len(await site.tags(site.target, "mirror/app")) == report.counts["copied"]


async def test_a_mirror_that_is_cut_off_leaves_nothing_behind(site: Site) -> None:
    await site.fill("team/app", [f"v{number}" for number in range(6)], sizes=[3 * MIB])
    running: list[MirrorRun] = []
    task = asyncio.create_task(site.run(everything(site, f"{host(site.target)}/mirror/app"), on_start=running.append))
    while not site.target.requests.count("PostUpload", 202):
        await asyncio.sleep(0.001)
    running[0].stop(grace=0)
    report = await task
    assert report.stopped
    assert report.counts["copied"] + report.counts["stopped"] == 6
    assert len(await site.tags(site.target, "mirror/app")) == report.counts["copied"]


async def test_what_went_of_an_image_that_was_cut_off_is_reported(site: Site) -> None:
    await site.fill("team/app", ["v1"], sizes=[4 * MIB])
    running: list[MirrorRun] = []
    slow = replace(FAST, max_bandwidth=2 * MIB)
    config = everything(site, f"{host(site.target)}/mirror/app")
    task = asyncio.create_task(site.run(config, limits=slow, on_start=running.append))
    while not site.target.requests.count("PostUpload", 202):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.5)
    running[0].stop(grace=0)
    (image,) = (await task).images
    assert image.status == "stopped"
    assert 0 < image.uploaded < 4 * MIB


async def test_a_cancelled_mirror_leaves_nothing_behind(site: Site) -> None:
    await site.fill("team/app", ["v1", "v2"], sizes=[3 * MIB])
    task = asyncio.create_task(site.run(everything(site, f"{host(site.target)}/mirror/app")))
    while not site.target.requests.count("PostUpload", 202):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await site.tags(site.target, "mirror/app") == {}


async def test_pruning_removes_only_what_the_source_no_longer_has(site: Site) -> None:
    await site.fill("team/app", [f"v{number}" for number in range(11)])
    mapping = everything(site, f"{host(site.target)}/mirror/app", prune=Prune(limit=10))
    await site.run(mapping)
    async with Engine(FAST) as engine:
        await engine.delete(f"{host(site.source)}/team/app:v10", access=LOGIN)
    report = await site.run(mapping)
    assert report.counts == {"unchanged": 10, "pruned": 1}
    assert set(await site.tags(site.target, "mirror/app")) == {f"v{number}" for number in range(10)}
    async with Engine(FAST) as engine:
        for number in (3, 4):
            await engine.delete(f"{host(site.source)}/team/app:v{number}", access=LOGIN)
    report = await site.run(mapping)
    assert report.counts == {"unchanged": 8, "failed": 1}
    assert "no more than 10 percent" in (report.mistakes[0].message or "")
    assert len(await site.tags(site.target, "mirror/app")) == 10


async def test_a_report_is_plain_data(site: Site) -> None:
    await site.fill("team/app", ["v1"])
    report = await site.run(everything(site, f"{host(site.target)}/mirror/app"))
    (image,) = report.images
    assert json.loads(json.dumps({"uploaded": image.uploaded, "target": image.target}))["uploaded"] > 5000
    assert image.requests > 5
    assert image.seconds > 0


async def upset(site: Site, images: Sequence[BuiltImage], data: Path) -> dict[str, str]:
    """Spoil what a mirror is about to read and write, in five ways; the tag of each, and the error that it makes."""
    for image, content in ((images[3], b"x" * 300), (images[4], None)):
        (file,) = data.rglob(image.blobs[-1].digest.encoded)
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
    authorization = {"Authorization": aiohttp.encode_basic_auth("transfer", "transfer")}
    async with V2(site.source.url, headers=authorization) as v2:
        document = json.loads(images[5].content(images[5].root))
        document["layers"][-1]["size"] += 1
        answer = await v2.manifest(json.dumps(document).encode(), "v5", "team/app")
        assert answer.status == 201, answer.body
    async with open_ecr(credentials=site.credentials) as ecr:
        await ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    async with Engine(FAST) as engine:
        await engine.push(images[0].source, f"{host(site.target)}/app:v6", target_access=LOGIN)
    return {
        "v3": "ContentMismatch",
        "v4": "NotFound",
        "v5": "ContentMismatch",
        "v6": "TagImmutable",
        "absent": "NotFound",
    }


async def test_of_two_hundred_images_five_bad_ones_are_named_and_the_others_are_copied(
    layout: ImageBuilder, tmp_path: Path
) -> None:
    data = tmp_path / "source"
    async with Server(data=data) as source, Server() as target, Server() as other:
        site = Site(source, target, other, layout)
        tags = [f"v{number}" for number in range(199)]
        bad = await upset(site, await site.fill("team/app", tags), data)
        mapping = everything(site, f"{host(target)}/app", tags=(TagFilter(exact=(*tags, "absent")),))
        report = await site.run(mapping)
        assert report.counts == {"copied": 195, "failed": 5}
        assert {one.target.rpartition(":")[2]: one.error for one in report.failed} == bad
        site.clear()
        again = await site.run(mapping, only=frozenset(one.target for one in report.failed))
        assert again.counts == {"failed": 5}
        assert asked(source)["HeadManifest"] == 5


@pytest.mark.attack("CVE-2026-35172")
async def test_blobs_are_remembered_for_the_next_run_and_asked_for_when_the_target_lost_them(
    site: Site, tmp_path: Path
) -> None:
    await site.fill("team/app", ["v1"])
    limits = TransferConfig(state_path=tmp_path / "state", backoff_base=0.01)
    config = MirrorConfig(mappings=(everything(site, f"{host(site.target)}/mirror/app"),), registries=site.registries)
    await mirror(config, limits=limits)
    (shared, *_) = [blob for blob in (await site.fill("team/app", ["v2"]))[0].blobs if blob.size == 5000]
    site.clear()
    assert (await mirror(config, limits=limits)).counts == {"unchanged": 1, "copied": 1}
    assert shared.digest not in {record.digest for record in site.target.requests.of("HeadBlob")}
    assert shared.digest not in {record.digest for record in site.source.requests.of("GetBlob")}

    await site.fill("team/app", ["v3"])
    async with aiohttp.ClientSession(
        headers={"Authorization": aiohttp.encode_basic_auth("transfer", "transfer")}
    ) as http:
        for tag in ("v1", "v2"):
            digest = (await site.tags(site.target, "mirror/app"))[tag]
            (await http.delete(f"{site.target.url}/v2/mirror/app/manifests/{digest}")).raise_for_status()
        (await http.delete(f"{site.target.url}/v2/mirror/app/blobs/{shared.digest}")).raise_for_status()
    report = await mirror(config, limits=limits)
    assert report.counts == {"copied": 3}
    assert set(await site.tags(site.target, "mirror/app")) == {"v1", "v2", "v3"}


async def test_jobs_are_run_as_they_are(site: Site) -> None:
    await site.fill("team/app", ["v1", "v2"])
    targets = [f"{host(server)}/copy/app:{{}}" for server in (site.target, site.other)]
    jobs = [
        Job(
            f"{host(site.source)}/team/app:{tag}",
            tuple(Destination(one.format(tag), LOGIN) for one in targets),
            (),
            LOGIN,
        )
        for tag in ("v1", "absent", "v2")
    ]
    report = await mirror(jobs, limits=FAST)
    assert report.counts == {"copied": 4, "failed": 2}
    assert {one.mapping for one in report.failed} == {"jobs[1]"}
    assert set(await site.tags(site.other, "copy/app")) == {"v1", "v2"}


@pytest.mark.parametrize(("protocol", "operation"), [("api", "PutImage"), ("registry", "PutManifest")])
async def test_a_registry_of_ecr_is_written_to_by_the_protocol_that_it_names(
    site: Site, protocol: Literal["api", "registry"], operation: str
) -> None:
    await site.fill("app", ["v1"])
    target = site.target.registry
    mapping = MirrorRule(source=f"{host(site.source)}/app:v1", targets=(f"{target}/copy",), create=CreateRepository())
    registries = site.registries | {target: RegistryConfig(ecr_protocol=protocol)}
    config = MirrorConfig(mappings=(mapping,), registries=registries)
    report = await mirror(config, limits=FAST, credentials=site.credentials)
    assert report.counts == {"copied": 1}
    assert asked(site.target)[operation] == 1
    assert asked(site.target)["PutImage"] + asked(site.target)["PutManifest"] == 1


async def test_a_token_host_of_a_registry_is_trusted_with_its_login() -> None:
    config = MirrorConfig(
        mappings=(MirrorRule(source="a.example/app:v1", targets=("b.example/app",)),),
        registries={"a.example": RegistryConfig(token_hosts=("auth.other",))},
    )
    accesses = Accesses(config, {}, {})
    assert accesses.to("a.example").token_hosts == {"auth.other"}
    assert accesses.to("b.example").token_hosts == frozenset()


@pytest.mark.parametrize(
    ("registry", "complaint"),
    [
        (RegistryConfig(token_hosts=("https://auth.other",)), "token_hosts"),
        (RegistryConfig(ecr_protocol="api"), "only ECR has it"),
    ],
)
async def test_a_wrong_token_host_and_a_protocol_of_ecr_elsewhere_are_refused(
    registry: RegistryConfig, complaint: str
) -> None:
    config = MirrorConfig(
        mappings=(MirrorRule(source="a.example/app:v1", targets=("b.example/app",)),),
        registries={"a.example": registry},
    )
    with pytest.raises(InvalidConfig, match=complaint):
        await mirror(config, limits=FAST)
