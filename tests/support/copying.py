"""One copy between two ends, as an engine would make it, for tests that bring ends of their own."""

from transfer.concurrency.limits import Limits
from transfer.config import TransferConfig
from transfer.engine.copy import Copied, ImageCopy
from transfer.engine.deduplication import BlobDeduplicator
from transfer.engine.graph import read_graph
from transfer.engine.protocols import Source, Target
from transfer.events import Event, Observer
from transfer.model.descriptor import Descriptor


def ignore(event: Event) -> None:
    """Observe nothing."""


def new_sharing(limits: Limits | None = None, *, patience: float = 30.0) -> BlobDeduplicator:
    return BlobDeduplicator(limits or Limits(TransferConfig()), patience=patience)


async def copy_image(
    source: Source,
    root: Descriptor,
    target: Target,
    *,
    tag: str | None,
    sharing: BlobDeduplicator | None = None,
    notify: Observer = ignore,
) -> Copied:
    image = ImageCopy(source, target, sharing=sharing or new_sharing(), notify=notify, origin="here")
    return await image.run(await read_graph(source, root), tag=tag)
