"""The options of `transfer mirror` that say what is mirrored: from arguments or a file to a configuration."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from transfer.cli.display.text import count
from transfer.cli.options.common import with_options

if TYPE_CHECKING:
    from transfer.mirror import MirrorConfig, MirrorRule

T = TypeVar("T")

_CHOICE = (
    click.option("--to", "more", multiple=True, metavar="TARGET", help="Another target, fed from the same read."),
    click.option(
        "--images-from",
        metavar="FILE",
        help="The images that a list names, '-' for standard input: lines, Kubernetes or Compose files, helm template, "
        "images.yaml, dregsy's or oc-mirror's. TARGET is then the only argument.",
    ),
    click.option(
        "--image-path",
        "image_paths",
        multiple=True,
        metavar="PATH",
        help="Where custom resources name images besides, as in 'spec.components[*].image'.",
    ),
    click.option("--all-tags", is_flag=True, help="Every tag of the repository."),
    click.option("--tags", "glob", multiple=True, metavar="GLOB", help="Tags that match a pattern such as '3.*'."),
    click.option(
        "--tag-regex", "regex", multiple=True, metavar="REGEX", help="Tags that match a regular expression as a whole."
    ),
    click.option("--semver", multiple=True, metavar="RANGE", help="Versions in a range such as '>=1.2 <2 || ^3.1'."),
    click.option("--newest", type=click.IntRange(min=1), metavar="N", help="Of those, the N highest versions."),
    click.option("--exclude", multiple=True, metavar="PATTERN", help="Not these: a glob, or a /regular expression/."),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[/VARIANT]",
        help="Of an index, only the images for these platforms.  [default: the whole index]",
    ),
    click.option("--referrers", is_flag=True, help="Copy signatures, SBOMs and attestations too."),
    click.option("--include-foreign", is_flag=True, help="Copy layers too that registries need not hold."),
    click.option("--create-repository", is_flag=True, help="Create target repositories of ECR that are missing."),
    click.option("--backup", metavar="TEMPLATE", help="Keep what a tag holds before it moves, as 'old-{tag}'."),
    click.option("--prune", is_flag=True, help="Remove tags from the target that the source no longer has."),
    click.option(
        "--prune-limit",
        type=click.FloatRange(0, 100),
        default=10.0,
        show_default=True,
        metavar="PERCENT",
        help="Prune nothing at all where it would be more than this part of a target's tags.",
    ),
    click.option("--protect", multiple=True, metavar="PATTERN", help="Never prune these: a glob or /expression/."),
)


def choice_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that choose images without a file."""
    return with_options(command, _CHOICE)


def config_of(source: str, target: str, choice: dict[str, Any]) -> "MirrorConfig":
    """
    Return the configuration that arguments stand for.

    Raises:
        click.UsageError: a repository is named, and not which of its tags.
    """
    from transfer.mirror import MirrorConfig
    from transfer.mirror.config.references import parse_source

    names = ("glob", "regex", "semver", "newest", "exclude")
    filters = {name: choice[name] for name in names if choice[name]}
    if not (filters or choice["all_tags"] or parse_source(source).choice):
        raise click.UsageError(f"{source!r} is a repository: choose tags (--tags, --semver, …), or use --all-tags")
    return MirrorConfig(mappings=(_rule(source, target, choice, filters),))


def config_of_list(file: str, target: str, choice: dict[str, Any]) -> "MirrorConfig":
    """
    Return the configuration for the images that a list names, and show them.

    Raises:
        click.UsageError: the list cannot be opened, or is chosen from by options for repositories.
        InvalidConfig: it cannot be read, or names no image.
    """
    from transfer.mirror import MirrorConfig
    from transfer.mirror.config.foreign.image_lists import read_images

    chosen = [name for name in ("glob", "regex", "semver", "newest", "exclude", "all_tags", "prune") if choice[name]]
    if chosen:
        raise click.UsageError("--images-from names images: options that choose tags, and --prune, do not go with it")
    try:
        with click.open_file(file, encoding="utf-8") as opened:
            text = opened.read()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--images-from {file!r}: cannot be read: {error}") from None
    found = read_images(text, image_paths=choice["image_paths"], name=f"--images-from {file!r}")
    sources = [str(one) for one in (*found.images, *found.repositories)]
    click.echo(f"{count(len(sources), 'image')} in {file}:", err=True)
    for source in sources:
        click.echo(f"  {source}", err=True)
    return MirrorConfig(mappings=tuple(_rule(source, target, choice, {}) for source in sources))


def _rule(source: str, target: str, choice: dict[str, Any], filters: dict[str, Any]) -> "MirrorRule":
    from transfer.mirror import MirrorRule, Prune, TagFilter

    return MirrorRule(
        source=source,
        targets=(target, *choice["more"]),
        tags=(TagFilter(**filters),) if filters else (),
        platforms=tuple(name for listed in choice["platforms"] for name in listed.split(",")),
        referrers=choice["referrers"],
        digest_tags=choice["referrers"],
        foreign_layers=choice["include_foreign"],
        prune=Prune(limit=choice["prune_limit"], protect=choice["protect"]) if choice["prune"] else None,
        backup=choice["backup"],
        create=_create() if choice["create_repository"] else None,
    )


def _create() -> Any:
    from transfer.mirror import CreateRepository

    return CreateRepository()
