"""The `transfer` command: the list of its subcommands and what they share."""

import difflib
import importlib

import click

from transfer import __version__

# Where each command is: a command line pays for the import of its own only, and `--version` for none.
_COMMANDS = {
    "append": "transfer.cli.commands.copy:append",
    "artifact": "transfer.cli.commands.artifact:artifact",
    "completion": "transfer.cli.commands.completion:completion",
    "config": "transfer.cli.commands.config:config",
    "copy": "transfer.cli.commands.copy:copy",
    "cp": "transfer.cli.commands.copy:copy",
    "delete": "transfer.cli.commands.repository:delete",
    "demo": "transfer.cli.commands.demo:demo",
    "digest": "transfer.cli.commands.look:digest",
    "ecr": "transfer.cli.commands.ecr:ecr",
    "inspect": "transfer.cli.commands.inspect:inspect",
    "login": "transfer.cli.commands.login:login",
    "login-check": "transfer.cli.commands.login_check:login_check",
    "logout": "transfer.cli.commands.login:logout",
    "mirror": "transfer.cli.commands.mirror:mirror",
    "pull": "transfer.cli.commands.copy:pull",
    "push": "transfer.cli.commands.copy:push",
    "repos": "transfer.cli.commands.look:repos",
    "serve": "transfer.cli.commands.serve:serve",
    "tags": "transfer.cli.commands.repository:tags",
}


class _Commands(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            likest = next(iter(difflib.get_close_matches(name, _COMMANDS, n=1)), None)
            hint = f"; did you mean {likest!r}?" if likest else ""
            ctx.fail(f"No such command {name!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="transfer")
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
