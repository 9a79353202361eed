"""
Configurations: from a file of any format that is known to what a mirror does. The only module here that opens files
that are not named inside one.

    report = check_config("mirror.yaml")      # everything that is wrong, and what is worth a warning
    config = load_config("mirror.yaml")       # the same, or InvalidConfig with every mistake
"""

import os
import stat
import sys
from collections.abc import Mapping as Environment
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transfer.errors import InvalidConfig
from transfer.mirror.config.builder import ConfigBuilder
from transfer.mirror.config.document import Document, read_document
from transfer.mirror.config.foreign.regsync import RegsyncReader
from transfer.mirror.config.foreign.skopeo import read_skopeo
from transfer.mirror.config.native import read_own, write_own
from transfer.mirror.config.reader import located
from transfer.mirror.config.settings import MirrorConfig
from transfer.mirror.diagnostics import Diagnostic, spelled

__all__ = ["ConfigReport", "Format", "check_config", "load_config", "write_own"]

Format = Literal["transfer", "skopeo", "regsync"]

# The name of the standard input.
STDIN = "-"
_EMPTY = "it is empty: write mappings, as in: mappings: [{source: alpine, targets: [registry.example/alpine]}]"
_LARGEST = 1024 * 1024
_FILES = ("password_file", "ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class ConfigReport:
    """
    The findings about a configuration file.

    Attributes:
        file: as it was named.
        format: the one it is in; None where it could not be read at all.
        config: None where there are mistakes.
        mistakes, warnings: in the order of their lines.
    """

    file: str
    format: Format | None
    config: MirrorConfig | None
    mistakes: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]

    def describe(self, mistake: Diagnostic) -> str:
        """Return one line: file, line, key and reason."""
        line = f":{mistake.line}" if mistake.line else ""
        return ": ".join(part for part in (f"{self.file}{line}", spelled(mistake.path), mistake.reason) if part)

    def require(self) -> MirrorConfig:
        """
        Return the configuration.

        Raises:
            InvalidConfig: there are mistakes; the message has a line for each.
        """
        if self.config is None:
            raise InvalidConfig("\n".join(map(self.describe, self.mistakes)))
        return self.config


def load_config(
    path: str | os.PathLike[str],
    format: Format | None = None,  # noqa: A002 -- what the command line calls it too
    *,
    target: str | None = None,
    scoped: bool = False,
    environment: Environment[str, str] | None = None,
) -> MirrorConfig:
    """
    Read a configuration.

    Args:
        path: the file; `-` is the standard input.
        format: the one it is in; None finds out.
        target, scoped: skopeo's DESTINATION and `--scoped`, for skopeo's format, which names no targets.
        environment: what variables in the file stand for, instead of the environment of this process.

    Raises:
        InvalidConfig: something is wrong in it; the message has a line for each mistake, with file, line and key.
    """
    return check_config(path, format, target=target, scoped=scoped, environment=environment).require()


def check_config(
    path: str | os.PathLike[str],
    format: Format | None = None,  # noqa: A002
    *,
    target: str | None = None,
    scoped: bool = False,
    environment: Environment[str, str] | None = None,
    secrets: bool = True,
) -> ConfigReport:
    """
    Check a configuration file. Never raises.

    Args:
        others: as of `load_config`.
        secrets: variables and files of passwords that are not there are mistakes; else they are warnings.
    """
    environment = os.environ if environment is None else environment
    file = os.fspath(path)
    try:
        text, warnings = _text(Path(file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return ConfigReport(file, None, None, (Diagnostic((), reason),), ())
    document = read_document(text)
    found = format or detect(document.value)
    draft, config = ConfigBuilder(), None
    if isinstance(document.value, dict):
        match found:
            case "transfer":
                draft = read_own(document.value, Path(file).parent, environment)
            case "skopeo":
                draft = read_skopeo(document.value, Path(file).parent, target, scoped=scoped)
            case "regsync":
                draft = RegsyncReader(Path(file).parent, environment).read(document.value)
        config = draft.finish()
        _look_for_files(draft)
    elif not document.mistakes:
        draft.wrong((), _EMPTY if document.value is None else "expected keys and values")
    draft.mistakes += document.mistakes
    if not secrets:
        draft.warnings += [one for one in draft.mistakes if one.of_secret]
        draft.mistakes = [one for one in draft.mistakes if not one.of_secret]
    return ConfigReport(
        file,
        found,
        None if draft.mistakes else config,
        _ordered(document, draft.mistakes),
        _ordered(document, [*warnings, *draft.warnings]),
    )


def detect(value: Any) -> Format:
    """Return the format that data looks like: other formats by the keys that only they have, else our own."""
    if isinstance(value, dict) and "mappings" not in value:
        if "sync" in value or "creds" in value:
            return "regsync"
        kinds = {"images", "images-by-tag-regex", "images-by-semver"}
        if value and any(isinstance(one, dict) and kinds & set(one) for one in value.values()):
            return "skopeo"
    return "transfer"


def _text(file: Path) -> tuple[str, list[Diagnostic]]:
    with nullcontext(sys.stdin.buffer) if str(file) == STDIN else file.open("rb") as opened:
        raw = opened.read(_LARGEST + 1)
        mode = os.fstat(opened.fileno()).st_mode
    if len(raw) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    writable = stat.S_ISREG(mode) and mode & stat.S_IWOTH
    return text, [Diagnostic((), "anybody can write to it: take that away (chmod o-w)")] if writable else []


def _look_for_files(draft: ConfigBuilder) -> None:
    for path, _, registry in draft.registries:
        for name in _FILES:
            file = getattr(registry, name)
            if file is not None and not os.access(file, os.R_OK):
                draft.wrong(
                    (*path, name),
                    f"the file {file!r} is not there, or may not be read",
                    of_secret=name == "password_file",
                )


def _ordered(document: Document, mistakes: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    placed = dict.fromkeys(located(document, mistake) for mistake in mistakes)
    return tuple(sorted(placed, key=lambda mistake: mistake.line or 0))
