"""Steps: which requests an upload consists of, as a pure function. Knows no registry that does it differently."""

from collections import Counter
from collections.abc import Sequence

from transfer.config import TransferConfig


def requests_to_push(sizes: Sequence[int], mounts: int, manifests: int, config: TransferConfig) -> Counter[str]:
    """The requests that upload blobs of these sizes, in bytes, mount some, and send so many manifests."""
    chunks = sum(-(-size // config.upload_chunk_bytes) for size in sizes if size > config.upload_chunk_threshold)
    uploads = {"POST upload": len(sizes) + mounts, "PATCH upload": chunks, "PUT upload": len(sizes)}
    return +Counter({**uploads, "PUT manifest": manifests})
