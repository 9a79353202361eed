"""boto3, as it comes, lists what refers to an image of the embedded registry."""

import json
from typing import Any

import pytest

from tests.support.boto3_ecr import OCI_MANIFEST, Ecr, digest_of, manifest

SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom"


async def attach(ecr: Ecr, subject: str, seed: str, **members: Any) -> dict[str, Any]:
    """Put an image whose subject is another one; what a list of referrers must say of it."""
    own = json.loads(await ecr.image(seed))
    named = {"mediaType": OCI_MANIFEST, "digest": digest_of(subject.encode()), "size": len(subject)}
    text = manifest(own["config"], *own["layers"], subject=named, **members)
    await ecr.put_image(repositoryName="app", imageManifest=text)
    shown = {"artifactType": members.get("artifactType", "application/x"), "artifactStatus": "ACTIVE"}
    reported = {key: members[key] for key in ("annotations",) if key in members}
    return shown | reported | {"digest": digest_of(text.encode()), "mediaType": OCI_MANIFEST, "size": len(text)}


def by_digest(referrers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(referrers, key=lambda one: str(one["digest"]))


async def test_referrers_are_listed_with_type_size_and_annotations(ecr: Ecr) -> None:
    subject = await ecr.image()
    subject_id = {"imageDigest": digest_of(subject.encode())}
    typed = await attach(ecr, subject, "2", artifactType=SIGNATURE, annotations={"by": "me"})
    plain = await attach(ecr, subject, "3")
    await attach(ecr, await ecr.image("other"), "4", artifactType=SIGNATURE)
    found = await ecr.list_image_referrers(repositoryName="app", subjectId=subject_id)
    assert found["referrers"] == by_digest([typed, plain])
    assert "nextToken" not in found


async def test_referrers_are_filtered_by_artifact_type_and_status(ecr: Ecr) -> None:
    subject = await ecr.image()
    asked = {"repositoryName": "app", "subjectId": {"imageDigest": digest_of(subject.encode())}}
    signature = await attach(ecr, subject, "2", artifactType=SIGNATURE)
    sbom = await attach(ecr, subject, "3", artifactType=SBOM)
    for wanted, expected in (
        ({"artifactTypes": [SBOM]}, [sbom]),
        ({"artifactTypes": [SBOM, SIGNATURE, "x"]}, [signature, sbom]),
        ({"artifactTypes": []}, [signature, sbom]),
        ({"artifactStatus": "ANY"}, [signature, sbom]),
        ({"artifactStatus": "ARCHIVED"}, []),
    ):
        found = await ecr.list_image_referrers(**asked, filter=wanted)
        assert found["referrers"] == by_digest(expected), wanted


async def test_referrers_come_in_pages_of_twenty_or_as_asked(ecr: Ecr) -> None:
    subject = await ecr.image()
    asked = {"repositoryName": "app", "subjectId": {"imageDigest": digest_of(subject.encode())}}
    expected = by_digest([await attach(ecr, subject, f"1{n}") for n in range(22)])
    first = await ecr.list_image_referrers(**asked)
    rest = await ecr.list_image_referrers(**asked, nextToken=first["nextToken"], maxResults=2)
    assert (first["referrers"], rest["referrers"]) == (expected[:20], expected[20:])
    assert "nextToken" not in rest
    other = asked | {"filter": {"artifactTypes": [SBOM]}}
    await ecr.refused("InvalidParameter", "list_image_referrers", **other, nextToken=first["nextToken"])


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"repositoryName": "absent"}, "RepositoryNotFound"),
        ({"subjectId": {"imageDigest": "v1"}}, "InvalidParameter"),
        ({"maxResults": 51}, "InvalidParameter"),
        ({"filter": {"artifactTypes": list("abcdef")}}, "InvalidParameter"),
    ],
)
async def test_what_cannot_be_listed_is_refused(ecr: Ecr, changed: dict[str, Any], refusal: str) -> None:
    asked = {"repositoryName": "app", "subjectId": {"imageDigest": digest_of(b"nothing")}}
    assert (await ecr.list_image_referrers(**asked))["referrers"] == []
    await ecr.refused(refusal, "list_image_referrers", **asked | changed)
