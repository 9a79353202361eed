"""JSON as commands print it. Knows no command."""

import msgspec


def json_text(document: object) -> str:
    """A JSON document for programs and people."""
    return msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode()
