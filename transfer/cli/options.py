"""
Options that several commands share, and the types of their values. Knows no command.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from transfer.cli.text import parse_key, parse_size

T = TypeVar("T")


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
ACCESS_KEY = Parsed("id:secret", parse_key)


def _tag(text: str) -> dict[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return {"Key": key, "Value": value}


TAG = Parsed("key=value", _tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrOptions:
    """How an ECR command reaches its registry, and how it answers."""

    profile: str | None
    region: str | None
    endpoint_url: str | None
    registry_id: str | None
    as_json: bool


def aws_options(command: Callable[..., T]) -> Callable[..., T]:
    """`--profile` and `--endpoint-url`, with the meaning they have to the AWS CLI."""
    for option in (
        click.option("--endpoint-url", metavar="URL", help="Send the API's requests there; AWS_ENDPOINT_URL_ECR."),
        click.option("--profile", metavar="NAME", help="A profile of the AWS configuration; AWS_PROFILE."),
    ):
        command = option(command)
    return command


def ecr_options(command: Callable[..., T]) -> Callable[..., T]:
    """The options of every `transfer ecr` command; the command gets them as its first argument, an `EcrOptions`."""

    @functools.wraps(command)
    def gather(
        *,
        profile: str | None,
        region: str | None,
        endpoint_url: str | None,
        registry_id: str | None,
        as_json: bool,
        **arguments: Any,
    ) -> T:
        options = EcrOptions(
            profile=profile, region=region, endpoint_url=endpoint_url, registry_id=registry_id, as_json=as_json
        )
        return command(options, **arguments)

    decorated: Callable[..., T] = gather
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the API's own answer as JSON."),
        click.option("--registry-id", metavar="ID", help="The account whose registry it is; your own by default."),
        click.option("--region", metavar="NAME", help="The registry's region; AWS_REGION, or the profile's."),
    ):
        decorated = option(decorated)
    return aws_options(decorated)
