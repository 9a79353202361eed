"""The public names of `transfer`: none is lost, and those that signatures of the API mention can be imported."""

import inspect
import re
from collections.abc import Callable

import pytest

import transfer
from transfer import events

# Names that users may import. A name may be added; one that is removed here breaks their programs.
PUBLIC = [
    "AwsCredentials",
    "BlobResult",
    "BlobUnknown",
    "ConnectionFailed",
    "ContentMismatch",
    "CopyOptions",
    "CredentialsMissing",
    "Destination",
    "Digest",
    "Engine",
    "Event",
    "FilesOptions",
    "Image",
    "Inspected",
    "InvalidConfig",
    "InvalidDigest",
    "InvalidLayout",
    "InvalidManifest",
    "InvalidReference",
    "Job",
    "LoginStatus",
    "NotFound",
    "Observer",
    "Outcome",
    "Preview",
    "PushResult",
    "RateLimitHeaders",
    "RateLimited",
    "Reference",
    "RegistryAccess",
    "RegistryError",
    "RepositorySettings",
    "Server",
    "StateStore",
    "StorageFull",
    "TagImmutable",
    "TransferConfig",
    "TransferError",
    "Unauthorized",
    "UploadLost",
    "copy_image",
    "open_ecr",
    "pull_files",
    "pull_image",
    "push_files",
    "push_image",
]

# Types from the standard library and boto3, and `Transport`, which is imported from `transfer.http.transport`.
ELSEWHERE = {
    "AsyncIterator",
    "Mapping",
    "None",
    "Path",
    "PathLike",
    "Self",
    "Sequence",
    "Session",
    "TracebackType",
    "Transport",
    "Unpack",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_imported(name: str) -> None:
    assert name in transfer.__all__
    assert getattr(transfer, name) is not None


def test_the_list_is_whole() -> None:
    assert sorted(PUBLIC) == sorted(transfer.__all__)


def test_types_of_public_signatures_are_exported() -> None:
    methods = [one for name, one in vars(transfer.Engine).items() if inspect.isfunction(one) and name[:1] != "_"]
    functions: list[Callable[..., object]] = [
        transfer.push_image,
        transfer.copy_image,
        transfer.pull_image,
        transfer.Engine.__init__,
        *methods,
    ]
    texts = [str(annotation) for one in functions for annotation in inspect.get_annotations(one).values()]
    named = {name for text in texts for name in re.findall(r"\b[A-Z]\w+", text)}
    assert named - ELSEWHERE - set(transfer.__all__) - set(vars(events)) == set()


def test_public_classes_and_functions_are_documented() -> None:
    documented = (getattr(transfer, name) for name in PUBLIC)
    assert [one for one in documented if inspect.isroutine(one) and not one.__doc__] == []
    assert [name for name, one in vars(transfer.Engine).items() if name[:1] != "_" and not one.__doc__] == []
