"""From a configuration's registries to `RegistryAccess`, and from its `create` to `RepositorySettings`."""

from collections.abc import Mapping as Environment
from pathlib import Path

from transfer.endpoints.provider import EcrProtocol
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig
from transfer.mirror.config.settings import CreateRepository, MirrorConfig, RegistryConfig
from transfer.mirror.config.variables import expand
from transfer.registry.ecr.create_repository import RepositorySettings


class Accesses:
    """
    The access to each registry that a configuration speaks of.

    Args:
        environment: what variables in logins stand for.
        said: by host, what comes before the configuration.

    Raises:
        InvalidConfig: a password's file cannot be read, or two settings exclude each other.
    """

    def __init__(
        self, config: MirrorConfig, environment: Environment[str, str], overrides: Environment[str, RegistryAccess]
    ) -> None:
        self._known = {host: access_of(registry, environment) for host, registry in config.registries.items()}
        self._known |= overrides
        self._ecr_protocols = {host: registry.ecr_protocol for host, registry in config.registries.items()}

    def to(self, registry: str) -> RegistryAccess:
        """Return the access to a registry by its host; what is found out, where nothing is said of it."""
        return self._known.get(registry) or RegistryAccess()

    def ecr_protocol(self, registry: str) -> EcrProtocol:
        """Return how a registry of ECR is written to."""
        return self._ecr_protocols.get(registry, "auto")


def access_of(registry: RegistryConfig, environment: Environment[str, str]) -> RegistryAccess:
    """Return the access that a configuration gives for one registry."""
    return RegistryAccess(
        login=login(registry, environment),
        profile=registry.profile,
        role=registry.role,
        endpoint_url=registry.endpoint_url,
        token_hosts=frozenset(registry.token_hosts),
        anonymous=registry.anonymous,
        plain_http=registry.plain_http,
        verify=registry.tls_verify,
        ca=registry.ca,
        certificate=registry.cert,
        key=registry.key,
        max_concurrent=registry.max_concurrent,
        max_per_second=registry.max_per_second,
        max_bandwidth=registry.max_bandwidth,
    )


def login(registry: RegistryConfig, environment: Environment[str, str]) -> str | None:
    """
    `USER:PASSWORD` as the registry's settings say; None where they say nothing.

    Raises:
        InvalidConfig: the password's file cannot be read.
    """
    if registry.username is None:
        return None
    password = expand(registry.password or "", environment)
    if registry.password_file is not None:
        try:
            password = Path(registry.password_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise InvalidConfig(f"the password's file {registry.password_file!r} cannot be read: {error}") from None
    return f"{expand(registry.username, environment)}:{password}"


def settings_of(create: CreateRepository) -> RepositorySettings:
    """Return the settings that a configuration gives for new repositories."""
    encryption = create.encryption
    return RepositorySettings(
        tags=tuple(create.tags.items()),
        mutability=create.mutability,
        mutability_exclude=create.mutability_exclude,
        encryption=encryption.type if encryption else None,
        kms_key=encryption.kms_key if encryption else None,
        scan_on_push=create.scan_on_push,
        lifecycle_policy=create.lifecycle_policy,
        repository_policy=create.repository_policy,
    )
