"""How the registry of one side is reached, and with which credentials."""

import re
from dataclasses import dataclass, field

from transfer.auth.credentials import Anonymous, FixedLogin, Logins, StoredCredentials, parse_login
from transfer.config import Pace, state_without_secrets
from transfer.errors import InvalidConfig
from transfer.http.settings import RegistrySettings, Tls

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """
    How the registry of a source or target is reached, and with which credentials.

    Raises:
        InvalidConfig: `anonymous` is combined with credentials, a token host or a limit is invalid.

    Attributes:
        login: `USER:PASSWORD`; without it, the logins of docker and podman are used.
        profile: at ECR, the profile of the AWS configuration files, instead of the engine's credentials.
        role: at ECR, the ARN of a role to assume.
        endpoint_url: at ECR, the URL of its API.
        anonymous: send no credentials, and look for none.
        token_hosts: hosts of token servers of other sites that may receive the login.
        plain_http: speak HTTP without TLS.
        verify: False accepts any certificate.
        ca: a file of CA certificates to trust besides the system's.
        certificate, key: files of a client certificate and its key, which may lie in one.
        max_concurrent: requests at once, of those that read and of those that write.
        max_per_second: requests a second.
        max_bandwidth: bytes of blobs a second, both ways together.
    """

    login: str | None = field(default=None, repr=False)
    profile: str | None = None
    role: str | None = None
    endpoint_url: str | None = None
    anonymous: bool = False
    token_hosts: frozenset[str] = frozenset()
    plain_http: bool = False
    verify: bool = True
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    max_concurrent: int | None = None
    max_per_second: float | None = None
    max_bandwidth: int | None = None

    def __post_init__(self) -> None:
        if self.anonymous and (self.login, self.profile, self.role) != (None, None, None):
            raise InvalidConfig("credentials for a registry, and none at all, exclude each other")
        for host in self.token_hosts:
            check_token_host(host)
        self.pace()

    def __getstate__(self) -> list[object]:
        """
        Return the state to pickle.

        Raises:
            InvalidConfig: it holds a password.
        """
        return state_without_secrets(self, "login")

    def pace(self) -> Pace:
        """
        Return the rate limits of the registry.

        Raises:
            InvalidConfig: a limit is not more than 0.
        """
        return Pace(
            max_concurrent=self.max_concurrent,
            max_per_second=self.max_per_second,
            max_bandwidth=self.max_bandwidth,
        )

    @property
    def who(self) -> str:
        """The user, profile and role that are given, without secrets; empty where none is."""
        user = (self.login or "").partition(":")[0]
        return " ".join(filter(None, (user, self.profile, self.role)))

    def logins(self) -> Logins:
        """
        Return where credentials are found.

        Raises:
            InvalidConfig: `login` is not of its form, or what is said of it is for ECR.
        """
        if (self.profile, self.role, self.endpoint_url) != (None, None, None):
            raise InvalidConfig("an AWS profile, role or endpoint is for a registry of ECR; name a login for this one")
        if self.anonymous:
            return Anonymous()
        return StoredCredentials() if self.login is None else FixedLogin(parse_login(self.login))

    def settings(self) -> RegistrySettings:
        """Return the connection settings of the registry."""
        tls = Tls(extra_ca=self.ca, certificate=self.certificate, key=self.key, verify=self.verify)
        return RegistrySettings(tls=tls, plain_http=self.plain_http, token_hosts=self.token_hosts)


def check_token_host(host: str) -> None:
    """
    Check the host of a token server.

    Raises:
        InvalidConfig: it is not a host alone.
    """
    if not _HOST.fullmatch(host):
        raise InvalidConfig(f"token host {host[:200]!a}: expected a host name in lower case, as auth.example")


DEFAULT_ACCESS = RegistryAccess()
