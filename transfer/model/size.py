"""Sizes as people write them. Pure; how one is shown is the command line's."""

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]*)", re.IGNORECASE)
# One letter means 1024, as it does to docker, dd and systemd.
_UNITS = {
    "": 1,
    "b": 1,
    **{letter + suffix: 1024**power for power, letter in enumerate("kmgt", 1) for suffix in ("", "ib")},
    **{letter + "b": 1000**power for power, letter in enumerate("kmgt", 1)},
}


def parse_size(text: str) -> int:
    """
    Return bytes of `64MiB`, `64M` (both 1024 * 1024), `64MB` (1000 * 1000) or a plain number.

    Raises:
        ValueError: it is none of these, or less than one byte.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size such as 64MiB, 64MB or 67108864")
    size = int(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor
    if size < 1:
        raise ValueError(f"{text!r} is less than one byte")
    return size
