"""What went of a copy that was cut off."""

from transfer.events import At, BlobProgress, BlobStarted
from transfer.mirror.run.sent_bytes import SentBytes
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest

ONE, TWO = (Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(bytes([number])), size=100) for number in range(2))


def test_bytes_count_from_where_a_blob_began() -> None:
    sent = SentBytes()
    for event in (BlobStarted(ONE, 30), BlobProgress(ONE.digest, 80), BlobProgress(ONE.digest, 70)):
        sent(event)
    sent(BlobStarted(TWO))
    sent(BlobProgress(TWO.digest, 5))
    assert sent.to("any") == 55


def test_each_target_has_its_own() -> None:
    sent = SentBytes()
    sent(At("a", BlobStarted(ONE)))
    sent(At("a", BlobProgress(ONE.digest, 80)))
    sent(At("b", BlobStarted(ONE)))
    assert (sent.to("a"), sent.to("b")) == (80, 0)
