"""Help in sections, options of the one side that a command has, and the spellings of other tools."""

import re
from collections.abc import Callable
from typing import Literal, TypeVar

import click

C = TypeVar("C", bound=click.Command)
OneSide = Literal["src", "dest"]

# By the names of parameters; what has a prefix is its side's.
_SECTIONS: dict[str, frozenset[str]] = {
    "Source": frozenset(),
    "Target": frozenset({"create_repository", "ecr_protocol", "more"}),
    "Registry": frozenset({"creds", "no_creds", "token_hosts", "plain_http", "tls_verify", "ca", "cert", "key"}),
    "What is copied": frozenset(
        {"platforms", "referrers", "include_foreign", "all_tags", "glob", "regex", "semver", "newest", "exclude"}
        | {"prune", "prune_limit", "protect", "backup", "images_from", "image_paths", "file", "file_format", "scoped"}
        | {"destination", "annotations", "artifact_type", "subject", "compression", "dry_run", "watch"}
    ),
    "Speed and retries": frozenset(
        {"blobs", "jobs", "bytes_in_flight", "chunk_size", "max_bandwidth", "retry_for", "hub_reserve"}
        | {"wait_for_quota", "connect_timeout", "read_timeout", "grace", "fail_fast"}
    ),
    "AWS": frozenset({"profile", "role", "endpoint_url", "region", "registry_id"}),
    "State and output": frozenset(
        {"state", "no_journal", "progress", "quiet", "as_json", "verbose", "log_level", "shown", "failures", "report"}
        | {"listen", "raw", "help", "yes", "username", "password_stdin"}
    ),
}
_OTHER = "Other"
_PREFIXED = re.compile(r", --(?:src|dest)-[a-z-]+")


class HelpCommand(click.Command):
    """
    A command whose help has sections.

    Attributes:
        one_side: the side whose registry it is about, where it has one: its options need no prefix.
    """

    one_side: OneSide | None = None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                names = _PREFIXED.sub("", record[0]) if self.one_side else record[0]
                sections.setdefault(section_of(param, self.one_side), []).append((names, record[1]))
        for title in (*_SECTIONS, _OTHER):
            if rows := sections.get(title):
                with formatter.section(title):
                    formatter.write_dl(rows)


def section_of(param: click.Parameter, one_side: OneSide | None = None) -> str:
    """Return the title of the section that a parameter is in."""
    name = "help" if "--help" in param.opts else param.name or ""
    if name.startswith("src_"):
        return "Source"
    if name.startswith("dest_"):
        return "Target"
    found = next((title for title, names in _SECTIONS.items() if name in names), _OTHER)
    return "Source" if found == "Registry" and one_side == "src" else found


def about_one_side(side: OneSide) -> Callable[[C], C]:
    """Let a command have one registry: its options need no prefix, and those of the other side are not shown."""
    own, other = f"--{side}-", "src_" if side == "dest" else "dest_"

    def change(command: C) -> C:
        taken = {name for param in command.params for name in param.opts}
        for param in command.params:
            if not isinstance(param, click.Option) or not param.name:
                continue
            if param.name.startswith(other):
                param.hidden = True
            elif param.name.startswith(f"{side}_"):
                short = param.opts[0].replace(own, "--")
                param.hidden = short in taken
                param.opts = param.opts if param.hidden else [short, *param.opts]
        if isinstance(command, HelpCommand):
            command.one_side = side
        return command

    return change
