"""What the command line does before it does anything: start quickly, help, and refuse what it cannot read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from transfer.cli import main
from transfer.cli.group import transfer

CERTIFICATE = Path(__file__).parents[2] / "peer" / "loopback.pem"
HEAVY = ("aiohttp", "botocore", "boto3", "rich", "uvloop", "sqlite3", "aiofiles")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"{name} is listed, and not there"
            yield from commands(child, (*path, name))


@pytest.mark.parametrize("arguments", [["--help"], ["push", "--help"], ["ecr", "images", "--help"], ["--version"]])
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys; from transfer.cli import main; code = main(sys.argv[1:]);"
        f"print('loaded', *(name for name in {HEAVY!r} if name in sys.modules)); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.splitlines()[-1], ended.stderr) == (0, "loaded", "")


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        (
            "from transfer.cli import main; main(['--version'])",
            {"asyncio", "msgspec", "importlib.metadata", "transfer.cli.commands.copy", "transfer.engine"},
        ),
        (
            "import transfer.cli.commands.mirror, transfer.mirror.api",
            {"botocore", "yaml", "regex", "sqlite3", "filelock", "tarfile", "zstandard", "zlib_ng", "rich", "uvloop"},
        ),
        (
            "import transfer.cli.commands.copy, transfer.api",
            {"botocore", "boto3", "sqlite3", "filelock", "tarfile", "zstandard", "zlib_ng", "rich", "transfer.server"},
        ),
    ],
    ids=["version", "mirror", "push"],
)
def test_nothing_is_imported_before_it_is_needed(program: str, unwanted: set[str]) -> None:
    program += f"; import sys; print(sorted({unwanted!r} & sys.modules.keys()))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.stdout.splitlines()[-1:], ended.stderr) == (["[]"], "")


STARTED = """
import os
from transfer.cli.startup import import_http_client
before = dict(os.environ)
import_http_client()
import aiohttp.connector
contexts = aiohttp.connector._SSL_CONTEXT_VERIFIED, aiohttp.connector._SSL_CONTEXT_UNVERIFIED
print(*(len(context.get_ca_certs()) for context in contexts), before == dict(os.environ))
"""


@pytest.mark.parametrize("seen", [{"SSL_CERT_FILE": str(CERTIFICATE)}, {}])
def test_the_program_reads_no_certificates_until_tls_asks_for_them(seen: dict[str, str]) -> None:
    known = {name: value for name, value in os.environ.items() if name not in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    ended = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, check=False, env=known | seen
    )
    assert (ended.stdout, ended.stderr) == ("0 0 True\n", "")


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for path, _ in commands(transfer):
        assert main([*path, "-h"]) == 0
        _, heading, after = capsys.readouterr().out.partition("\n  Examples:\n")
        assert heading, f"{path} has no examples"
        assert "transfer " in after.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Usage: transfer"),
        (["nonsense"], "No such command 'nonsense'"),
        (["push", "oci:x"], "Missing argument 'TARGET'"),
        (["push", "oci:x", "y", "-j", "0"], "0 is not in the range"),
        (["push", "oci:x", "y", "--bytes-in-flight", "many"], "'many' is not a size"),
        (["push", "oci:x", "y", "--progress", "loud"], "'loud' is not one of"),
        (["serve", "--port", "70000"], "70000 is not in the range"),
        (["serve", "--access-key", "only-an-id"], "expected ID:SECRET"),
        (["serve", "--account", "1234"], "'1234' is not an account id"),
        (["ecr", "create", "app", "--tag", "=x"], "'=x' is not KEY=VALUE"),
        (["ecr", "create", "app", "--immutable", "--image-tag-mutability", "MUTABLE"], "exclude each other"),
        (["ecr", "rm", "app"], "Missing argument 'TAG|DIGEST...'"),
        (["ecr", "policy", "set", "app", "/no/such/file"], "No such file"),
    ],
)
def test_what_cannot_be_read_is_named_and_ends_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert complaint in shown.err
    assert shown.out == ""


def test_the_secret_of_a_bad_option_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--access-key", ":hunter2"]) == 2
    assert "hunter2" not in capsys.readouterr().err
