"""
The settings of a mirror as typed values. Pure.

Every value is frozen and complete: what a file leaves to its `defaults` is filled in.
"""

from typing import Annotated, Any, Literal

import msgspec

from transfer.errors import InvalidConfig
from transfer.mirror.config.variables import VARIABLE
from transfer.mirror.select.filters import RepositoryFilter, TagFilter

# Bytes; a file may say 10MB.
Size = Annotated[int, msgspec.Meta(title="size")]
Duration = Annotated[float, msgspec.Meta(title="duration")]
# Text that may hold `${NAME}`, which stays as it is until it is used, so that no configuration holds a secret.
Secret = Annotated[str, msgspec.Meta(title="secret")]
# A file's path; one that is not absolute begins at the folder of the configuration.
FilePath = Annotated[str, msgspec.Meta(title="path")]
# A JSON document, or `file://PATH` of one.
Policy = Annotated[str, msgspec.Meta(title="policy")]

Mutability = Literal["MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The root of what stands in a configuration."""


class RegistryConfig(Settings, frozen=True, kw_only=True):
    """
    How one registry is reached, with which credentials and rate limits.

    Attributes:
        username, password: who to be; `${NAME}` in them is a variable of the environment.
        password_file: a file that holds the password instead.
        anonymous: use no login, though docker or podman have one.
        profile, role: of AWS, for an ECR registry: a profile of its configuration, the ARN of a role to assume.
        endpoint_url: where the requests to an ECR registry's API go.
        ecr_protocol: how an ECR registry is written to: by its API (`auto`, `api`), or by its Docker endpoint
            (`registry`), which can mount blobs.
        token_hosts: hosts of token servers on another site that may receive the login.
        plain_http: speak HTTP without TLS.
        tls_verify: false accepts any certificate.
        ca: CA certificates to trust besides the system's.
        cert, key: a client certificate, and its key where that is another file.
        max_concurrent: requests at once.
        max_per_second: requests a second.
        max_bandwidth: bytes a second, both ways together.
    """

    username: Secret | None = None
    password: Secret | None = None
    password_file: FilePath | None = None
    anonymous: bool = False
    profile: str | None = None
    role: str | None = None
    endpoint_url: str | None = None
    ecr_protocol: Literal["auto", "api", "registry"] = "auto"
    token_hosts: tuple[str, ...] = ()
    plain_http: bool = False
    tls_verify: bool = True
    ca: FilePath | None = None
    cert: FilePath | None = None
    key: FilePath | None = None
    max_concurrent: int | None = None
    max_per_second: float | None = None
    max_bandwidth: Size | None = None

    def __reduce__(self) -> Any:
        """
        Return the value to pickle.

        Raises:
            InvalidConfig: its password is more than variables of the environment.
        """
        if VARIABLE.sub("", self.password or ""):
            raise InvalidConfig(
                "RegistryConfig: password is a secret and is not pickled; name a variable or a file instead"
            )
        return super().__reduce__()

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "password"}
        fields = ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)
        return f"RegistryConfig({fields}, password={'None' if self.password is None else '…'})"


class Prune(Settings, frozen=True, kw_only=True):
    """
    Whether tags that the source no longer has are removed from the target.

    Attributes:
        enabled: false for a mapping that shall not take the defaults' prune.
        limit: percent of the target's tags that a run may remove at most; more is a mistake, and removes nothing.
        protect: globs, or `/regular expressions/`, of tags that stay.
    """

    enabled: bool = True
    limit: float = 10.0
    protect: tuple[str, ...] = ()


class Encryption(Settings, frozen=True, kw_only=True):
    """The encryption of a created ECR repository; `kms_key` is the ARN of a KMS key."""

    type: Literal["AES256", "KMS", "KMS_DSSE"] = "AES256"
    kms_key: str | None = None


class CreateRepository(Settings, frozen=True, kw_only=True):
    """
    The settings of a repository that is created in ECR where it is missing.

    Attributes:
        tags: resource tags.
        mutability, mutability_exclude: whether tags can be moved, and patterns of those that are left out.
        encryption: None for the registry's own choice.
        scan_on_push: scan each image when it arrives.
        lifecycle_policy, repository_policy: JSON documents; a file may say `file://PATH`.
    """

    tags: dict[str, str] = {}
    mutability: Mutability | None = None
    mutability_exclude: tuple[str, ...] = ()
    encryption: Encryption | None = None
    scan_on_push: bool = False
    lifecycle_policy: Policy | None = None
    repository_policy: Policy | None = None


class Defaults(Settings, frozen=True, kw_only=True):
    """
    The settings that a mapping may leave to `defaults`.

    Attributes:
        tags: which tags; several filters are a union, none takes all.
        platforms: only these, as `linux/arm64`; none copies images whole, bit for bit.
        referrers: take signatures, SBOMs and other referrers along.
        digest_tags: take the tags along that are named after an image's digest, as `sha256-….sig`.
        foreign_layers: copy layers too that a manifest only gives addresses of.
        prune: None removes nothing.
        backup: a template of the tag that keeps what is about to be overwritten, as `backup-{tag}`.
        create: None takes a missing repository for a mistake.
    """

    tags: tuple[TagFilter, ...] = ()
    platforms: tuple[str, ...] = ()
    referrers: bool = False
    digest_tags: bool = False
    foreign_layers: bool = False
    prune: Prune | None = None
    backup: str | None = None
    create: CreateRepository | None = None


class MirrorRule(Defaults, frozen=True, kw_only=True):
    """
    One rule: which images of a source are mirrored to which targets.

    Attributes:
        source: an image, a repository, or repositories by a pattern, as `registry.example/team/*`.
        targets: templates of what it is called, as `mirror.example/{repository}`.
        repositories: which of the repositories that the pattern fits.
    """

    source: str
    targets: tuple[str, ...]
    repositories: RepositoryFilter | None = None


class MirrorConfig(Settings, frozen=True, kw_only=True):
    """
    A mirror.

    Attributes:
        mappings: what goes where.
        registries: by host, as it stands in references.
        jobs: images at once.
        max_bandwidth: bytes a second over all registries.
        retry_for: how long a request that fails is tried again without getting any further: seconds, or as in 15m.
        hub_reserve: pulls of Docker Hub's quota to leave untouched.
        watch: an interval such as 30m, or five fields of cron: when to run again.
    """

    mappings: tuple[MirrorRule, ...]
    registries: dict[str, RegistryConfig] = {}
    jobs: int | None = None
    max_bandwidth: Size | None = None
    retry_for: Duration | None = None
    hub_reserve: int | None = None
    watch: str | None = None


class ConfigFile(MirrorConfig, frozen=True, kw_only=True):
    """
    A mirror as a file says it.

    Attributes:
        defaults: what mappings take that do not say otherwise.
        variables: the variables of the environment that `${NAME}` may name anywhere in the file.
    """

    defaults: Defaults = Defaults()
    variables: tuple[str, ...] = ()
