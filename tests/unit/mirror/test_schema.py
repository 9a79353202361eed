"""The published schema: current, and with a word on every key."""

import json
from pathlib import Path

import transfer.mirror.config.schema as module
from transfer.mirror.config.schema import schema

PUBLISHED = Path(module.__file__).with_name("schema.json")


def test_the_published_schema_is_current() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json.loads(json.dumps(schema()))


def test_every_key_is_described() -> None:
    for name, one in schema()["$defs"].items():
        silent = [key for key, value in one["properties"].items() if "description" not in value]
        assert silent == ([] if name != "Encryption" else ["type", "kms_key"])


def test_a_file_may_write_shorter_than_the_settings_are() -> None:
    types = schema()["$defs"]
    assert types["RegistryConfig"]["properties"]["max_bandwidth"]["anyOf"][0]["type"] == ["integer", "string"]
    assert {"type": ["string", "number"]} in types["TagFilter"]["properties"]["exact"]["anyOf"]
    assert types["ConfigFile"]["patternProperties"] == {"^x-": {}}
    assert types["ConfigFile"]["required"] == ["mappings"]
