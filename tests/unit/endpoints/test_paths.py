"""Paths as sources and targets, and texts that are paths."""

from pathlib import Path

import pytest

from transfer import Engine, InvalidConfig, InvalidReference, TransferConfig, copy_image, push_image
from transfer.endpoints.locations import locate_source, locate_target
from transfer.events import Event
from transfer.local.reference import LocalReference
from transfer.testing.images import ImageBuilder

NO_JOURNAL = TransferConfig(journal=False)


async def test_a_path_is_a_layout_or_an_archive(layout: ImageBuilder, tmp_path: Path) -> None:
    image = layout.index(tag="v1")
    archive = await copy_image(layout.path, tmp_path / "out.tar", config=NO_JOURNAL)
    copied = await copy_image(tmp_path / "out.tar", tmp_path / "out", config=NO_JOURNAL)
    assert archive.digest == copied.digest == image.root.digest
    assert (tmp_path / "out" / "oci-layout").is_file()


def test_a_path_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    assert locate_source(tmp_path / "a.tar") == LocalReference("docker-archive", tmp_path / "a.tar")
    assert locate_source(tmp_path / "a") == LocalReference("oci", tmp_path / "a")
    assert locate_target(tmp_path / "a:b") == LocalReference("oci", tmp_path / "a:b")


def test_a_text_that_is_a_path_says_how_it_is_written(
    layout: ImageBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.image(tag="v1")
    monkeypatch.chdir(layout.path.parent)
    (tmp_path / "files").mkdir(exist_ok=True)
    (tmp_path / "files" / "app.tar").write_bytes(b"")
    with pytest.raises(InvalidReference, match=f"this is a folder here: write oci:{layout.path.name}, or"):
        locate_source(layout.path.name)
    with pytest.raises(InvalidReference, match="this is a file here: write oci-archive:"):
        locate_source(str(tmp_path / "files" / "app.tar"))


async def test_one_platform_is_a_text_too(layout: ImageBuilder, tmp_path: Path) -> None:
    layout.index(tag="v1")
    one = await copy_image(layout.path, tmp_path / "one", config=NO_JOURNAL, platforms="linux/arm64")
    same = await copy_image(layout.path, tmp_path / "same", config=NO_JOURNAL, platforms=["linux/arm64"])
    two = await copy_image(layout.path, tmp_path / "two", config=NO_JOURNAL, platforms="linux/arm64,linux/amd64")
    assert one.digest == same.digest != two.digest


async def test_an_async_observer_is_refused_by_its_name(layout: ImageBuilder, tmp_path: Path) -> None:
    async def watch(event: Event) -> None: ...

    layout.image(tag="v1")
    with pytest.raises(InvalidConfig, match="watch: it is async, and nothing awaits it"):
        await push_image(layout.path, tmp_path / "out", config=NO_JOURNAL, observer=watch)  # type: ignore[arg-type]
    async with Engine(NO_JOURNAL) as engine:
        assert engine.limits.idle
