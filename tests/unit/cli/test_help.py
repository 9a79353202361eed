"""Help: sections, options of the one side, and the spellings of other tools."""

import click
import pytest

from tests.support.command import Command
from transfer.cli.group import transfer
from transfer.cli.options.help import HelpCommand, section_of

COMMANDS = ["append", "copy", "delete", "inspect", "login-check", "mirror", "pull", "push", "tags"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def found(name: str) -> HelpCommand:
    one = transfer.get_command(click.Context(transfer), name)
    assert isinstance(one, HelpCommand)
    return one


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_section(name: str) -> None:
    one = found(name)
    shown = [param for param in one.params if isinstance(param, click.Option) and not param.hidden]
    assert [param.name for param in shown if section_of(param, one.one_side) == "Other"] == []


@pytest.mark.parametrize("name", ["push", "pull"])
def test_it_fits_two_screens(name: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert len(command.ok(name, "--help").splitlines()) <= 80


@pytest.mark.parametrize(("name", "other"), [("push", "--src-"), ("pull", "--dest-")])
def test_a_command_with_one_registry_has_its_options_without_a_prefix(name: str, other: str, command: Command) -> None:
    shown = command.ok(name, "--help")
    for option in ("--plain-http", "--creds USER:PASSWORD", "--tls-verify", "--ca FILE", "--profile"):
        assert f"  {option}" in shown
    assert other not in shown
    assert "--src-" not in shown


def test_one_with_two_has_them_with_a_prefix(command: Command) -> None:
    shown = command.ok("copy", "--help")
    assert shown.index("\nSource:\n") < shown.index("  --src-creds USER:PASSWORD") < shown.index("\nTarget:\n")
    assert (
        shown.index("\nTarget:\n") < shown.index("  --dest-creds USER:PASSWORD") < shown.index("\nSpeed and retries:\n")
    )


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ("copy a b --dest-insecure", "No such option '--dest-insecure': use --plain-http, or --tls-verify false"),
        ("push a b --username x", "No such option '--username': use --creds USER:PASSWORD, or docker login"),
        (
            "copy a b --src-cert-dir x",
            "No such option '--src-cert-dir': use --ca FILE, and --cert FILE with --key FILE",
        ),
        ("mirror a b --authfile x", "No such option '--authfile': set REGISTRY_AUTH_FILE"),
        ("copy a b --retry-times 3", "No such option '--retry-times': use --retry-for DURATION"),
    ],
)
def test_another_tools_spelling_is_answered_with_the_right_one(arguments: str, answer: str, command: Command) -> None:
    assert command(*arguments.split()).err.splitlines()[-1] == f"transfer: {answer}"
