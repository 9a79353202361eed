"""Mistakes: what is wrong in a configuration, and where. Pure; knows no file."""

from typing import NamedTuple

Path = tuple[str | int, ...]


class Diagnostic(NamedTuple):
    """
    One thing that is wrong.

    Attributes:
        path: where, as keys and indices: `("mappings", 0, "tags")`.
        reason: what is wrong, and what would be right.
        line: where it stands in its file, from 1; None where that follows from the path.
        of_secret: it is a secret that is not there, which a check can do without.
    """

    path: Path
    reason: str
    line: int | None = None
    of_secret: bool = False

    def below(self, path: Path) -> "Diagnostic":
        """Return the same, seen from further up."""
        return self._replace(path=(*path, *self.path))


def spelled(path: Path) -> str:
    """Return a path as people write it: `mappings[0].tags.semver`, `registries[docker.io].password`."""
    return "".join(map(_spelled, path)).removeprefix(".")


def _spelled(part: str | int) -> str:
    if isinstance(part, int) or "." in part:
        return f"[{part}]"
    return f".{part}" if part.isprintable() else f"[{part!r}]"
