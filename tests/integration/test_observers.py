"""Ready-made observers, fed by real copies."""

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from transfer import TransferConfig, copy_image
from transfer.events import BlobProgress, BlobStarted, Event, Notice, Planned, Retrying
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.observers import ByteCallback, LogObserver, RichObserver, TqdmObserver
from transfer.testing.images import BuiltImage, ImageBuilder

NO_JOURNAL = TransferConfig(journal=False)


@pytest.fixture
def image(layout: ImageBuilder) -> BuiltImage:
    return layout.image([3_000_000, 500], tag="v1")


def size_of(image: BuiltImage) -> int:
    return sum(blob.size for blob in image.blobs)


async def test_a_callback_gets_every_byte_once(image: BuiltImage, tmp_path: Path) -> None:
    moved: list[int] = []
    observer = ByteCallback(moved.append)
    await copy_image(image.source, tmp_path / "out", config=NO_JOURNAL, observer=observer)
    assert sum(moved) == observer.progress.total == size_of(image)
    assert 0 not in moved


def test_bytes_that_are_sent_again_are_taken_back() -> None:
    layer = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b"x"), size=100)
    moved: list[int] = []
    observer = ByteCallback(moved.append)
    events: list[Event] = [Planned(1, 100, 1, 100), BlobStarted(layer)]
    for event in (*events, *(BlobProgress(layer.digest, at) for at in (60, 20, 90))):
        observer(event)
    assert moved == [60, -40, 70]


async def test_a_log_has_each_blob_and_manifest(
    image: BuiltImage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "transfer.progress")
    observer = LogObserver()
    await copy_image(image.source, f"oci:{tmp_path / 'out'}:v1", config=NO_JOURNAL, observer=observer)
    messages = [record.getMessage() for record in caplog.records if record.name == "transfer.progress"]
    assert messages[0] == f"3 of 3 blobs to move, {size_of(image)} of {size_of(image)} bytes"
    assert sorted(messages[1:4]) == sorted(f"blob {one.digest} uploaded, {one.size} bytes" for one in image.blobs)
    assert messages[4:] == [f"manifest {image.root.digest} pushed as v1"]
    caplog.clear()
    observer(Retrying("PATCH", 1, 0.5, "reset"))
    observer(Notice("the journal is locked"))
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "PATCH: reset; again in 0.5 s"),
        ("WARNING", "the journal is locked"),
    ]


async def test_tqdm_draws_all_bytes(image: BuiltImage, tmp_path: Path) -> None:
    screen = io.StringIO()
    with TqdmObserver(file=screen, desc="app:v1", mininterval=0) as observer:
        await copy_image(image.source, tmp_path / "out", config=NO_JOURNAL, observer=observer)
    last = screen.getvalue().rstrip().rpartition("\r")[2]
    assert last.startswith("app:v1: 100%")
    assert "3.00M/3.00M" in last


async def test_rich_draws_all_bytes(image: BuiltImage, tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with RichObserver("app:v1 [x]", console) as observer:
        await copy_image(image.source, tmp_path / "out", config=NO_JOURNAL, observer=observer)
    assert "app:v1 [x]" in screen.getvalue()
    assert "3.0/3.0 MB" in screen.getvalue()
