"""
An OCI layout in a tar as a Source, as skopeo, podman and buildx write it.

Read in place, at (offset, size) of its members, and never extracted. A compressed archive, and one from a pipe, is
decompressed once into an unnamed temporary file.
"""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from transfer.local.archive.reader import Archive
from transfer.local.layout.reader import FileSource


class OciArchiveSource(FileSource):
    """
    The images of one archive.

        async with OciArchiveSource(Path("app.tar")) as source: ...

    Args:
        archive: a file (plain, gzip'ed or zstd'ed), a FIFO, or a stream such as the standard input.
    """

    def __init__(self, archive: Path | IO[bytes]) -> None:
        self._archive = Archive(
            archive, links=False, how_to_choose="choose with oci-archive:PATH:TAG or oci-archive:PATH@sha256:…"
        )
        super().__init__(self._archive)

    def __repr__(self) -> str:
        return f"OciArchiveSource({self.label!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._archive.close)
