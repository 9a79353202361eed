"""What is nearly a command or an option is answered with the one that was meant."""

import pytest

from tests.support.command import Command


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ("psh a b", "No such command 'psh'; did you mean 'push'?"),
        ("mirro a b", "No such command 'mirro'; did you mean 'mirror'?"),
        ("xyzzy", "No such command 'xyzzy'"),
        ("ecr repo", "No such command 'repo'; did you mean 'repos'?"),
        ("mirror a b/ --tagg x", "No such option '--tagg'; did you mean '--tags'?"),
        ("copy a b --dest-cred x", "No such option '--dest-cred'; did you mean '--dest-creds'?"),
        ("push a b --xyzzy", "No such option '--xyzzy'."),
    ],
)
def test_what_was_meant_is_said(arguments: str, answer: str, command: Command) -> None:
    ended = command(*arguments.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1] == f"transfer: {answer}"
