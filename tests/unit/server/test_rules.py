"""The embedded registry's pure rules: fields, pages, tags, parts, names and the log's facts."""

from typing import Any

import msgspec
import pytest

from transfer.errors import InvalidConfig
from transfer.server import Server
from transfer.server.ecr import requests
from transfer.server.ecr.images import is_immutable, matches
from transfer.server.ecr.rules import read_request
from transfer.server.ecr.uploads import check_part
from transfer.server.errors import ApiError
from transfer.server.log import facts
from transfer.server.settings import LARGEST_PART, MIB, Settings
from transfer.server.store.blobs import StoredUpload
from transfer.server.tokens import make_token, read_token

TOO_LARGE = (
    "Invalid parameter at 'layerPartBlob' failed to satisfy constraint: "
    "'Member must have length less than or equal to 20971520'"
)
MUTABILITIES = "MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION"
NAME_PATTERN = (
    r"must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'"
)


@pytest.mark.parametrize(
    ("kind", "members", "path", "constraint"),
    [
        (requests.RepositoryRequest, {}, "repositoryName", "Member must not be null"),
        (requests.RepositoryRequest, {"repositoryName": None}, "repositoryName", "Member must not be null"),
        (requests.RepositoryRequest, {"repositoryName": "UPPER"}, "repositoryName", NAME_PATTERN),
        (requests.RepositoryRequest, {"repositoryName": "app\n"}, "repositoryName", NAME_PATTERN),
        (
            requests.RepositoryRequest,
            {"repositoryName": "a" * 257},
            "repositoryName",
            "Member must have length less than or equal to 256",
        ),
        (
            requests.RepositoryRequest,
            {"repositoryName": "app", "registryId": "1"},
            "registryId",
            "must satisfy regular expression '[0-9]{12}'",
        ),
        (
            requests.CreateRepository,
            {"repositoryName": "app", "encryptionConfiguration": {}},
            "encryptionConfiguration.encryptionType",
            "Member must not be null",
        ),
        (
            requests.CreateRepository,
            {"repositoryName": "app", "imageTagMutability": "SOMETIMES"},
            "imageTagMutability",
            f"Member must satisfy enum value set: [{MUTABILITIES}]",
        ),
        (
            requests.CreateRepository,
            {"repositoryName": "app", "imageTagMutabilityExclusionFilters": []},
            "imageTagMutabilityExclusionFilters",
            "Member must have length greater than or equal to 1",
        ),
        (
            requests.DescribeRepositories,
            {"maxResults": 1001},
            "maxResults",
            "Member must have value less than or equal to 1000",
        ),
        (
            requests.BatchGetImage,
            {"repositoryName": "app", "imageIds": [{"imageTag": "t" * 301}]},
            "imageIds.imageTag",
            "Member must have length less than or equal to 300",
        ),
    ],
)
def test_a_field_outside_its_rule_is_refused_in_the_words_of_ecr(
    kind: type[msgspec.Struct], members: dict[str, Any], path: str, constraint: str
) -> None:
    with pytest.raises(ApiError) as caught:
        read_request(msgspec.json.encode(members), kind)
    assert caught.value.code == "InvalidParameterException"
    assert caught.value.message == f"Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'"


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[]", b'{"repositoryName":5}', b'{"repositoryName":"app"} x', b"[" * 9999]
)
def test_what_is_no_request_cannot_be_read(document: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read_request(document, requests.RepositoryRequest)
    assert caught.value.code == "SerializationException"


def test_a_page_token_leads_back_to_its_place() -> None:
    assert read_token(
        "secret", ["ListImages", "app", None], make_token("secret", ["ListImages", "app", None], ["d", "t"])
    ) == [
        "d",
        "t",
    ]


@pytest.mark.parametrize(
    "token", ["", "x", "????", "é", make_token("other", ["L"], ["a"]), make_token("secret", ["M"], ["a"])]
)
def test_a_page_token_of_another_list_is_refused(token: str) -> None:
    with pytest.raises(ApiError, match="nextToken") as caught:
        read_token("secret", ["L"], token)
    assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("wildcard", "tag", "expected"),
    [
        ("latest", "latest", True),
        ("latest", "latest2", False),
        ("dev-*", "dev-", True),
        ("dev-*", "dev-1.2", True),
        ("dev-*", "xdev-1", False),
        ("*-rc*", "1.0-rc2", True),
        ("v*.*", "v1", False),
        ("a.b", "axb", False),
        ("a*" * 60, "a" * 120 + "b", True),
        ("a*" * 60 + "c", "a" * 120 + "b", False),
    ],
)
def test_a_wildcard_stands_for_any_characters(wildcard: str, tag: str, expected: bool) -> None:
    assert matches(wildcard, tag) is expected


@pytest.mark.parametrize(
    ("mutability", "filters", "expected"),
    [
        ("MUTABLE", None, False),
        ("IMMUTABLE", None, True),
        ("IMMUTABLE_WITH_EXCLUSION", ["latest"], False),
        ("IMMUTABLE_WITH_EXCLUSION", ["dev"], True),
        ("MUTABLE_WITH_EXCLUSION", ["dev", "late*"], True),
        ("MUTABLE_WITH_EXCLUSION", ["dev"], False),
    ],
)
def test_filters_turn_mutability_round(mutability: str, filters: list[str] | None, expected: bool) -> None:
    settings: dict[str, Any] = {"imageTagMutability": mutability}
    if filters is not None:
        settings["imageTagMutabilityExclusionFilters"] = [
            {"filterType": "WILDCARD", "filter": item} for item in filters
        ]
    assert is_immutable(settings, "latest") is expected


def settings(**changed: Any) -> Settings:
    values = {
        "account": "123456789012",
        "region": "us-east-1",
        "access_key": "key",
        "secret_key": "secret",
        "auth": True,
        "part_size": 10 * MIB,
        "url_ttl": 3600,
        "upload_ttl": 86400,
        "token_ttl": 43200,
        "dialect": "oci",
        "create_on_push": True,
        "blob_mounting": False,
    }
    return Settings(**{**values, **changed})


def part(first: int, last: int) -> requests.UploadLayerPart:
    return requests.UploadLayerPart(
        repository_name="app", upload_id="u", part_first_byte=first, part_last_byte=last, layer_part_blob=""
    )


@pytest.mark.parametrize(
    ("received", "first", "last", "size", "code", "message"),
    [
        (10, 0, 4, 5, "InvalidLayerPartException", "First byte of the layer part is 0 instead of 10"),
        (10, 11, 15, 5, "InvalidLayerPartException", "First byte of the layer part is 11 instead of 10"),
        (0, 0, 4, 4, "InvalidLayerPartException", "Size of the layer part is 4 bytes instead of 5"),
        (5, 5, 4, 0, "InvalidLayerPartException", "Size of the layer part is 0 bytes instead of 0"),
        (
            0,
            0,
            LARGEST_PART,
            LARGEST_PART + 1,
            "InvalidParameterException",
            TOO_LARGE,
        ),
    ],
)
def test_a_part_that_cannot_be_the_next_is_refused(
    received: int, first: int, last: int, size: int, code: str, message: str
) -> None:
    with pytest.raises(ApiError) as caught:
        check_part(StoredUpload("u", 1, received=received), part(first, last), size, settings())
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(("received", "expected"), [(0, {}), (7, {"lastValidByteReceived": 6})])
def test_a_refused_part_is_told_where_the_upload_ends(received: int, expected: dict[str, int]) -> None:
    with pytest.raises(ApiError) as caught:
        check_part(StoredUpload("u", 1, received=received), part(99, 100), 2, settings())
    named = {"registryId": "123456789012", "repositoryName": "app", "uploadId": "u"}
    assert caught.value.members == named | expected


def test_an_upload_takes_4200_parts() -> None:
    upload = StoredUpload("u", 1, received=4199, parts=4199)
    check_part(upload, part(4199, 4199), 1, settings())
    with pytest.raises(ApiError) as caught:
        check_part(upload.grown(1, 1), part(4200, 4200), 1, settings())
    assert caught.value.code == "LimitExceededException"


@pytest.mark.parametrize(
    ("sizes", "undersized"), [([1], False), ([5, 1], False), ([4, 5], True), ([5, 4, 5], True), ([4, 5, 5], True)]
)
def test_only_the_last_part_may_be_small(sizes: list[int], undersized: bool) -> None:
    upload = StoredUpload("u", 1)
    for size in sizes:
        upload = upload.grown(size, 5)
    assert (upload.undersized, upload.received) == (undersized, sum(sizes))


@pytest.mark.parametrize(
    ("region", "suffix", "partition"),
    [
        ("us-east-1", "amazonaws.com", "aws"),
        ("cn-north-1", "amazonaws.com.cn", "aws-cn"),
        ("us-gov-west-1", "amazonaws.com", "aws-us-gov"),
    ],
)
def test_names_follow_the_region(region: str, suffix: str, partition: str) -> None:
    made = settings(region=region)
    assert made.registry == f"123456789012.dkr.ecr.{region}.{suffix}"
    assert made.arn("app") == f"arn:{partition}:ecr:{region}:123456789012:repository/app"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("account", "12"),
        ("region", "here"),
        ("access_key", ""),
        ("part_size", 0),
        ("part_size", LARGEST_PART + 1),
        ("url_ttl", 0),
        ("upload_ttl", 0),
    ],
)
def test_a_setting_outside_its_range_is_refused(option: str, value: Any) -> None:
    with pytest.raises(InvalidConfig):
        Server(**{option: value})


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"repositoryName": "app", "uploadId": "u"}, {"repository": "app", "upload_id": "u"}),
        ({"partFirstByte": 0, "partLastByte": 5}, {"first_byte": 0, "last_byte": 5}),
        ({"repositoryName": ["app"], "partFirstByte": "0"}, {}),
        ({"image": {"imageId": {"imageDigest": "d", "imageTag": "t"}}}, {"digest": "d", "tag": "t"}),
        ({"imageIds": [{"imageTag": "t"}]}, {"tag": "t"}),
        ({"imageIds": [{"imageTag": "t"}, {"imageTag": "u"}], "layerDigests": ["a", "b"]}, {}),
        ({"layerDigests": ["a"]}, {"digest": "a"}),
        ({"image": None, "layerDigests": [5], "imageIds": [[]]}, {}),
    ],
)
def test_the_log_is_told_what_a_request_is_about(members: dict[str, Any], expected: dict[str, Any]) -> None:
    assert facts(members) == expected
