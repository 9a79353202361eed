"""The `transfer` command: the list of its subcommands and what they share. Knows nothing of what they do."""

import click

from transfer.cli.config import config
from transfer.cli.copy import copy
from transfer.cli.demo import demo
from transfer.cli.ecr import ecr
from transfer.cli.inspect import inspect
from transfer.cli.login_check import login_check
from transfer.cli.mirror import mirror
from transfer.cli.pull import pull
from transfer.cli.push import push
from transfer.cli.repository import delete, tags
from transfer.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="layer-transfer", prog_name="transfer")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def transfer(context: dict[str, bool], *, debug: bool) -> None:
    """Move container images between registries and disk: resumable, batched, bounded.

    \b
    Examples:
      transfer push oci:build/image 123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1
      transfer copy "$REGISTRY/app:v1" "$REGISTRY/app:stable"
      transfer config check mirror.yaml
      transfer mirror alpine "$REGISTRY/mirror/" --semver '>=3.18' --create-repository
      transfer serve --port 5000
      transfer ecr repos
      transfer ecr images app
      transfer demo

    \b
    Exit codes:
      0 done   1 failed   2 usage or invalid input   4 credentials   130 interrupted   143 terminated
    """
    context["debug"] = debug


for command in (push, pull, copy, inspect, tags, delete, login_check, mirror, config, serve, ecr, demo):
    transfer.add_command(command)
transfer.add_command(copy, "cp")
