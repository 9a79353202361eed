"""`transfer completion`: what a shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_TRANSFER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      eval "$(transfer completion bash)"                                     # in ~/.bashrc
      eval "$(transfer completion zsh)"                                      # in ~/.zshrc
      transfer completion fish > ~/.config/fish/completions/transfer.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choice has only those that click knows
    click.echo(found(context.find_root().command, {}, "transfer", _VARIABLE).source())
