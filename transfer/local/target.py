"""What all targets on this machine have in common: tags move, nothing is mounted, no list of referrers is kept."""

from transfer.engine.protocols import Mountable
from transfer.local.layout.reader import PIECE_BYTES
from transfer.model.descriptor import Descriptor
from transfer.model.digest import Digest
from transfer.model.manifest import Manifest


class LocalTarget:
    """A layout or archive, as far as all kinds are alike."""

    held_bytes = PIECE_BYTES

    async def check_tag(self, tag: str, wanted: Digest, held: Digest) -> None:
        """Nothing to check: the tags of a layout or archive move."""

    def mountable(self, digest: Digest) -> Mountable:  # noqa: ARG002 - as asked
        """Nothing can be mounted."""
        return "never"

    async def mount_blob(self, descriptor: Descriptor, from_repository: str | None) -> bool:  # noqa: ARG002 - as asked
        """There are no repositories in a layout or archive."""
        return False

    async def list_referrer(self, manifest: Manifest) -> None:
        """Nothing to do: what refers to an image is found by reading what the index leads to."""
