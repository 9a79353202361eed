"""Variables inside a text: `${NAME}`, and `$${` for a `${` that is none. Pure; knows no environment of its own."""

import re
from collections.abc import Mapping

VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")


def variables_of(text: str) -> list[str]:
    """Return the names that `${NAME}` names in a text."""
    return [match[1] for match in VARIABLE.finditer(text) if match[1] is not None]


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Return a secret with its variables filled in; one that is missing is nothing."""
    return VARIABLE.sub(lambda match: "${" if match[1] is None else environment.get(match[1], ""), text)


def escape(text: str) -> str:
    """Return a text that reads as this one."""
    return text.replace("${", "$${")
