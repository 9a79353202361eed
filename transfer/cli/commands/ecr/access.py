"""`transfer ecr layer-url`, `login-password`, `token`: what lets another program in."""

import base64
import binascii
from typing import Any

import click

from transfer.cli.commands.ecr.session import call, print_json, registry_scope, repository_scope
from transfer.cli.options.common import EcrOptions, ecr_options
from transfer.errors import TransferError
from transfer.model.digest import Digest


@click.command("layer-url")
@click.argument("repo")
@click.argument("digest")
@ecr_options
def layer_url(options: EcrOptions, *, repo: str, digest: str) -> None:
    """Print a URL to download a layer from.

    It works for a while, and for anybody who has it. Only layers that an image refers to have one.

    \b
    Examples:
      curl -o layer.tar.gz "$(transfer ecr layer-url app sha256:9f86...)"
    """
    scope = repository_scope(repo, options)
    answer = call(options, scope, "GetDownloadUrlForLayer", layerDigest=Digest(digest))
    if options.as_json:
        print_json(answer)
    else:
        click.echo(answer["downloadUrl"])


@click.command("login-password")
@ecr_options
def login_password(options: EcrOptions) -> None:
    """Print the password for docker login.

    The user is AWS. It is valid for twelve hours.

    \b
    Examples:
      transfer ecr login-password | docker login -u AWS --password-stdin \\
          123456789012.dkr.ecr.us-east-1.amazonaws.com
    """
    answer = _authorization(options)
    if options.as_json:
        print_json(answer)
    else:
        click.echo(password(answer["authorizationData"][0]["authorizationToken"]))


@click.command("token")
@ecr_options
def token(options: EcrOptions) -> None:
    """Print the token for HTTP Basic.

    Which registry it is for and when it expires goes to stderr.

    \b
    Examples:
      curl -H "Authorization: Basic $(transfer ecr token)" "https://$REGISTRY/v2/app/tags/list"
      transfer ecr token --json
    """
    answer = _authorization(options)
    if options.as_json:
        print_json(answer)
        return
    data = answer["authorizationData"][0]
    click.echo(data["authorizationToken"])
    click.echo(f"for {data['proxyEndpoint']}, expires {data['expiresAt'].isoformat(timespec='seconds')}", err=True)


def _authorization(options: EcrOptions) -> dict[str, Any]:
    scope = registry_scope(options)
    ids = [scope.registry_id] if scope.registry_id else None
    answer = call(options, registry_scope(options), "GetAuthorizationToken", registryId=None, registryIds=ids)
    if not answer.get("authorizationData"):
        raise TransferError("GetAuthorizationToken: the registry answered without an authorization token")
    return answer


def password(authorization: str) -> str:
    """
    Return the password in a token, which is `AWS:password` in base64.

    Raises:
        TransferError: it is something else; the message does not repeat it.
    """
    try:
        user, _, secret = base64.b64decode(authorization, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = secret = ""
    if user != "AWS" or not secret:
        raise TransferError("GetAuthorizationToken: the registry's authorization token is not AWS:password in base64")
    return secret
