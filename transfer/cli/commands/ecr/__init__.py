"""`transfer ecr`: the operations of the ECR API as commands, one module for each kind of thing they are about."""

import click

from transfer.cli.commands.ecr.access import layer_url, login_password, token
from transfer.cli.commands.ecr.images import check, images, rm
from transfer.cli.commands.ecr.policy import policy
from transfer.cli.commands.ecr.repositories import create, delete, repos


@click.group()
def ecr() -> None:
    """Repositories, images and layers of an ECR registry.

    REPO is a repository's name, or HOST/NAME with the host of a registry, which then says the
    account and the region. Credentials and regions are found as the AWS CLI finds them.

    \b
    Examples:
      transfer ecr create app --image-tag-mutability IMMUTABLE
      transfer ecr images 123456789012.dkr.ecr.us-east-1.amazonaws.com/app
      transfer ecr rm app v1 v2
      transfer ecr login-password | docker login -u AWS --password-stdin "$REGISTRY"
    """


for command in (create, repos, delete, policy, images, rm, check, layer_url, login_password, token):
    ecr.add_command(command)
