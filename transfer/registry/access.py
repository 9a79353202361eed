"""How the registry of one side is reached, and as whom. Knows neither the registry nor what is asked of it."""

from dataclasses import dataclass, field

from transfer.errors import InvalidConfig
from transfer.registry.credentials import Given, Logins, StoredLogins, parse_login
from transfer.registry.distribution.exchange import RegistrySettings
from transfer.registry.surroundings import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """
    What is said of one side's registry, instead of what is found out.

    Attributes:
        login: `USER:PASSWORD`; else the logins of docker and podman are looked through.
        profile: at ECR, the profile of the AWS configuration files, in place of the credentials of all ends.
        role: at ECR, the ARN of a role to assume.
        plain_http: speak HTTP without TLS.
        verify: False takes any certificate.
        ca: a file of CA certificates to trust besides the system's.
        certificate, key: files of a client certificate and its key, which may lie in one.
    """

    login: str | None = field(default=None, repr=False)
    profile: str | None = None
    role: str | None = None
    plain_http: bool = False
    verify: bool = True
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def logins(self) -> Logins:
        """
        Where to look for who to be.

        Raises:
            InvalidConfig: `login` is not of its form, or what is said of it is for ECR.
        """
        if self.profile is not None or self.role is not None:
            raise InvalidConfig("an AWS profile or role is for a registry of ECR; name a login for this one")
        return StoredLogins() if self.login is None else Given(parse_login(self.login))

    def settings(self) -> RegistrySettings:
        """How the registry is spoken to."""
        tls = Tls(extra_ca=self.ca, certificate=self.certificate, key=self.key, verify=self.verify)
        return RegistrySettings(tls=tls, plain_http=self.plain_http)


DEFAULT_ACCESS = RegistryAccess()
