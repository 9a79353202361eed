"""Move container image layers: resumable, batched, bounded."""

import importlib
from typing import TYPE_CHECKING

from transfer.errors import (
    BlobUnknown,
    ConnectionFailed,
    ContentMismatch,
    CredentialsMissing,
    InvalidConfig,
    InvalidDigest,
    InvalidLayout,
    InvalidManifest,
    InvalidReference,
    NotFound,
    RateLimited,
    RegistryError,
    StorageFull,
    TagImmutable,
    TransferError,
    Unauthorized,
    UploadLost,
)

if TYPE_CHECKING:
    from transfer.api import Engine
    from transfer.auth.login_status import LoginStatus
    from transfer.config import TransferConfig
    from transfer.endpoints.image import Image
    from transfer.endpoints.registry_access import RegistryAccess
    from transfer.engine.referrers import Inspected
    from transfer.engine.result import BlobResult, Preview, PushResult
    from transfer.events import Event, Observer
    from transfer.functions import copy_image, pull_files, pull_image, push_files, push_image
    from transfer.job import CopyOptions, Destination, FilesOptions, Job, Outcome
    from transfer.model.digest import Digest
    from transfer.model.reference import Reference
    from transfer.registry.ecr.client import open_ecr
    from transfer.registry.ecr.create_repository import RepositorySettings
    from transfer.registry.ecr.credentials import AwsCredentials
    from transfer.registry.oci.pull_rate_limit import RateLimitHeaders
    from transfer.server import Server
    from transfer.state.journal import StateStore

__version__ = "0.1.0"

__all__ = [
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

# Imported when first asked for: the HTTP client and botocore cost a third of a second, which `--help` need not pay.
_MODULES = {
    "AwsCredentials": "transfer.registry.ecr.credentials",
    "BlobResult": "transfer.engine.result",
    "CopyOptions": "transfer.job",
    "Destination": "transfer.job",
    "Digest": "transfer.model.digest",
    "Engine": "transfer.api",
    "Event": "transfer.events",
    "FilesOptions": "transfer.job",
    "Image": "transfer.endpoints.image",
    "Inspected": "transfer.engine.referrers",
    "Job": "transfer.job",
    "LoginStatus": "transfer.auth.login_status",
    "Observer": "transfer.events",
    "Outcome": "transfer.job",
    "Preview": "transfer.engine.result",
    "PushResult": "transfer.engine.result",
    "RateLimitHeaders": "transfer.registry.oci.pull_rate_limit",
    "Reference": "transfer.model.reference",
    "RegistryAccess": "transfer.endpoints.registry_access",
    "RepositorySettings": "transfer.registry.ecr.create_repository",
    "Server": "transfer.server",
    "StateStore": "transfer.state.journal",
    "TransferConfig": "transfer.config",
    "copy_image": "transfer.functions",
    "open_ecr": "transfer.registry.ecr.client",
    "pull_files": "transfer.functions",
    "pull_image": "transfer.functions",
    "push_files": "transfer.functions",
    "push_image": "transfer.functions",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'transfer' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
