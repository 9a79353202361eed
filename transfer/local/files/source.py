"""An artifact that was made of files, as a Source."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO

from transfer.errors import InvalidLayout
from transfer.local.archive.file_slice import file_slice
from transfer.local.files.artifact import TITLE, Artifact
from transfer.local.layout.reader import FileBlobs, size_of
from transfer.model.descriptor import Descriptor
from transfer.model.manifest import Manifest


class FilesSource(FileBlobs):
    """The one image that an artifact is; its files are read where they lie."""

    label = "files"

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        layers = artifact.manifest.layers
        self._titles = {layer.digest: (layer.annotations or {}).get(TITLE, "") for layer in layers}

    async def resolve(self, reference: str | None) -> Descriptor:  # noqa: ARG002 - there is but one
        """Return the artifact's descriptor."""
        return self._artifact.manifest.descriptor

    async def manifest(self, descriptor: Descriptor) -> Manifest:  # noqa: ARG002 - there is but one
        """Return the artifact's manifest."""
        return self._artifact.manifest

    async def referrers(self, descriptor: Descriptor) -> list[Descriptor]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: nothing refers to what was just made."""
        return []

    async def tags(self) -> AsyncGenerator[str]:
        """Yield nothing."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    def open_file(self, descriptor: Descriptor) -> BinaryIO:
        """
        Return a blob as a file. Blocks.

        Raises:
            InvalidLayout: the file cannot be read any more.
            ContentMismatch: it has another size than before.
        """
        content = self._artifact.contents[descriptor.digest]
        if isinstance(content, bytes):
            return io.BytesIO(content)
        if not isinstance(content, Path):
            return file_slice(content.fileno(), 0, descriptor.size)
        try:
            file = content.open("rb")
        except OSError as error:
            raise InvalidLayout(f"{str(content)!r}: cannot be read: {error.strerror}", side="source") from None
        size = size_of(file)
        if size != descriptor.size:
            file.close()
            raise self.mismatch(descriptor, size)
        return file

    def locate(self, descriptor: Descriptor) -> str:
        """Return the file of a blob."""
        content = self._artifact.contents.get(descriptor.digest)
        return str(content) if isinstance(content, Path) else self.shown(descriptor)

    def shown(self, descriptor: Descriptor) -> str:
        """Return the title of a blob."""
        return self._titles.get(descriptor.digest) or descriptor.digest
