"""What a push, a copy and a mirror over plain HTTP import: nothing that only other runs need."""

import asyncio
import sys
from pathlib import Path

import pytest

from transfer import Server
from transfer.testing.images import ImageBuilder

# What only a terminal, a file of formats, a regular expression of tags, an archive, a server or ECR needs.
HEAVY = (
    *("aiofiles", "aiohttp.web", "boto3", "botocore", "prometheus_client", "regex", "rich"),
    *("yaml", "zlib_ng", "zstandard"),
    *("cProfile", "html.entities", "http.server", "multiprocessing", "pdb", "tarfile", "unittest", "xml", "zipfile"),
    *(
        "transfer.cli.display.display",
        "transfer.progress",
        "transfer.endpoints.ecr",
        "transfer.local.archive.tar",
    ),
    *("transfer.mirror.watcher.metrics", "transfer.mirror.watcher.loop", "transfer.server", "uvloop"),
)
PROGRAM = f"""
import sys
from transfer.cli import program
code = program()
print("loaded", *(name for name in {HEAVY!r} if name in sys.modules))
sys.exit(code)
"""
SOURCE = ("--src-creds", "transfer:transfer", "--src-plain-http")
TARGET = ("--dest-creds", "transfer:transfer", "--dest-plain-http")


async def loaded(folder: Path, *arguments: str) -> list[str]:
    """Run the command line, and tell which of the heavy modules it has imported by its end."""
    state = ("--state", str(folder / "journal.sqlite"))
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *arguments, "--quiet", *state, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await client.communicate()
    assert client.returncode == 0
    word, *names = out.decode().splitlines()[-1].split()
    assert word == "loaded"
    return names


@pytest.mark.parametrize(
    ("plain", "expected"), [(True, []), (False, ["uvloop"])], ids=["said to be plain", "found to be plain"]
)
async def test_no_heavy_module_is_imported(
    server: Server, layout: ImageBuilder, tmp_path: Path, plain: bool, expected: list[str]
) -> None:
    image, registry = layout.image([1000], tag="v1"), server.url.removeprefix("http://")
    ends = [word for word in (*SOURCE, *TARGET) if plain or not word.endswith("plain-http")]
    assert await loaded(tmp_path, "push", image.source, f"{registry}/app:v1", *ends) == expected
    assert await loaded(tmp_path, "copy", f"{registry}/app:v1", f"{registry}/copy:v1", *ends) == expected
    mirrored = await loaded(tmp_path, "mirror", f"{registry}/app", f"{registry}/mirror/", "--all-tags", *ends)
    assert mirrored == expected
