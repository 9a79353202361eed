"""How the registries of a mirror are reached: from its configuration to the ends' own values. Asks nobody."""

from collections.abc import Mapping as Environment

from transfer.mirror.config import login
from transfer.mirror.settings import MirrorConfig, RegistryConfig
from transfer.registry.access import RegistryAccess


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
        self, config: MirrorConfig, environment: Environment[str, str], said: Environment[str, RegistryAccess]
    ) -> None:
        self._known = {host: access_of(registry, environment) for host, registry in config.registries.items()}
        self._known |= said

    def to(self, registry: str) -> RegistryAccess:
        """The access to a registry by its host; what is found out, where nothing is said of it."""
        return self._known.get(registry) or RegistryAccess()


def access_of(registry: RegistryConfig, environment: Environment[str, str]) -> RegistryAccess:
    """What a configuration says of one registry."""
    return RegistryAccess(
        login=login(registry, environment),
        profile=registry.profile,
        role=registry.role,
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
