"""Options that several commands share, and the types of their values."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from transfer.cli.display.option_names import note_sides
from transfer.cli.display.text import parse_key
from transfer.cli.options.logs import LOG_OPTIONS
from transfer.config import TransferConfig
from transfer.model.duration import parse_duration
from transfer.model.size import parse_size

if TYPE_CHECKING:
    from transfer.registry.ecr.credentials import AwsCredentials

T = TypeVar("T")

_DEFAULTS = TransferConfig()


class Parsed(click.ParamType[Any]):
    """A value that a pure function reads, its ValueError being the message of a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE = Parsed("size", parse_size)
DURATION = Parsed("duration", parse_duration)
ACCESS_KEY = Parsed("id:secret", parse_key)


def _tag(text: str) -> dict[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return {"Key": key, "Value": value}


TAG = Parsed("key=value", _tag)


def with_options(
    command: Callable[..., T], options: Sequence[Callable[[Callable[..., T]], Callable[..., T]]]
) -> Callable[..., T]:
    """Add options to a command, in the order of its help."""
    for option in reversed(options):
        command = option(command)
    return command


class AwsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """AWS credentials and endpoint."""

    profile: str | None = None
    role: str | None = None
    endpoint_url: str | None = None

    def credentials(self, region: str | None = None) -> "AwsCredentials":
        """
        Return the same for the library.

        Raises:
            InvalidConfig: the role is not the ARN of one.
        """
        from transfer.registry.ecr.credentials import AwsCredentials

        return AwsCredentials(profile=self.profile, role=self.role, endpoint_url=self.endpoint_url, region=region)


class EcrOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The registry, credentials and output format of an ECR command."""

    aws: AwsOptions
    region: str | None
    registry_id: str | None
    as_json: bool


def _keep_timeout(context: click.Context, parameter: click.Parameter, value: float) -> None:
    context.meta[f"transfer.{parameter.name}"] = value


def _timeout(name: str, default: float, text: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=text,
        expose_value=False,
        callback=_keep_timeout,
    )


_TIMEOUTS = (
    _timeout("connect_timeout", _DEFAULTS.connect_timeout, "How long a connection may take."),
    _timeout("read_timeout", _DEFAULTS.read_timeout, "How long a registry may be silent."),
)


def timeouts() -> dict[str, Any]:
    """Return the timeouts of the running command, as arguments of `TransferConfig`."""
    meta = click.get_current_context().meta
    return {name: meta[f"transfer.{name}"] for name in ("connect_timeout", "read_timeout")}


PROGRESS = click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "tty", "json"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr; json is one event a line.",
)


def aws_options(command: Callable[..., T]) -> Callable[..., T]:
    """
    Add what every command that talks to a registry has: AWS credentials and endpoint, timeouts, and what is logged.

    The command gets the first three as one argument, `aws`, and the timeouts from `timeouts`.
    """

    @functools.wraps(command)
    def gather(*, profile: str | None, role: str | None, endpoint_url: str | None, **arguments: Any) -> T:
        return command(aws=AwsOptions(profile=profile, role=role, endpoint_url=endpoint_url), **arguments)

    options = (
        click.option("--profile", metavar="NAME", help="A profile of the AWS configuration; AWS_PROFILE."),
        click.option("--role", metavar="ARN", help="A role to assume with the AWS credentials."),
        click.option("--endpoint-url", metavar="URL", help="Send the API's requests there; AWS_ENDPOINT_URL_ECR."),
    )
    return with_options(gather, (*options, *_TIMEOUTS, *LOG_OPTIONS))


def ecr_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of every `transfer ecr` command, which gets them as an `EcrOptions`."""

    @functools.wraps(command)
    def gather(
        *,
        aws: AwsOptions,
        region: str | None,
        registry_id: str | None,
        as_json: bool,
        **arguments: Any,
    ) -> T:
        return command(EcrOptions(aws=aws, region=region, registry_id=registry_id, as_json=as_json), **arguments)

    options = (
        click.option("--region", metavar="NAME", help="The registry's region; AWS_REGION, or the profile's."),
        click.option("--registry-id", metavar="ID", help="The account that owns the registry.  [default: your own]"),
        click.option("--json", "as_json", is_flag=True, help="Print the API's own answer as JSON."),
    )
    return aws_options(with_options(gather, options))


def access_options(side: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """
    Add the options of one side's registry; the command gets them as one argument, `SIDE_access`.

    Args:
        side: "src", "dest", or "" for a command with one end; then the argument is `access`, and `aws_options` has the
            profile and the role.
    """
    flag, name = (f"--{side}-", f"{side}_") if side else ("--", "")
    at_aws = (
        click.option(f"{flag}profile", f"{name}profile", metavar="NAME", help="At ECR, an AWS profile for this side."),
        click.option(f"{flag}role", f"{name}role", metavar="ARN", help="At ECR, a role to assume for this side."),
    )
    options = (
        *(at_aws if side else ()),
        click.option(f"{flag}creds", f"{name}creds", metavar="USER:PASSWORD", help="Credentials for the registry."),
        click.option(f"{flag}no-creds", f"{name}no_creds", is_flag=True, help="Use no credentials."),
        click.option(
            f"{flag}token-host",
            f"{name}token_hosts",
            multiple=True,
            metavar="HOST",
            help="A token server on another site that may receive the credentials.",
        ),
        click.option(f"{flag}plain-http", f"{name}plain_http", is_flag=True, help="Use HTTP without TLS."),
        click.option(
            f"{flag}tls-verify", f"{name}tls_verify", type=bool, default=True, help="false accepts any certificate."
        ),
        click.option(f"{flag}ca", f"{name}ca", metavar="FILE", help="CA certificates to trust besides the system's."),
        click.option(f"{flag}cert", f"{name}cert", metavar="FILE", help="A client certificate; may hold its key too."),
        click.option(f"{flag}key", f"{name}key", metavar="FILE", help="The client certificate's key."),
    )

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def gather(**arguments: Any) -> T:
            from transfer.endpoints.registry_access import RegistryAccess

            note_sides(two=bool(side) and getattr(click.get_current_context().command, "one_side", None) is None)
            access = RegistryAccess(
                login=arguments.pop(f"{name}creds"),
                profile=arguments.pop(f"{name}profile") if side else None,
                role=arguments.pop(f"{name}role") if side else None,
                anonymous=arguments.pop(f"{name}no_creds"),
                token_hosts=frozenset(host.lower() for host in arguments.pop(f"{name}token_hosts")),
                plain_http=arguments.pop(f"{name}plain_http"),
                verify=arguments.pop(f"{name}tls_verify"),
                ca=arguments.pop(f"{name}ca"),
                certificate=arguments.pop(f"{name}cert"),
                key=arguments.pop(f"{name}key"),
            )
            return command(**{f"{name}access": access}, **arguments)

        return with_options(gather, options)

    return decorate
