"""The demo's image: what of a machine goes into it, and whether it is one that others could read."""

import asyncio
import gzip
import hashlib
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest

from transfer.cli.commands.demo.archive import Layer, Stopped, _read, member, write_layer
from transfer.cli.commands.demo.build import TAG, DemoImage, build_image
from transfer.cli.commands.demo.machine import Entry, Tree, trees, walk
from transfer.local.layout.source import LayoutSource
from transfer.model.manifest import parse_manifest


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A small tree with all that should not get into a layer beside it and in it."""
    root = tmp_path / "tree"
    for name in ("b/__pycache__", "b/site-packages", "b/other", "a"):
        (root / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("outside")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    for name in ("b/__pycache__/x.pyc", "b/site-packages/x.py", "b/other/x.py", "b/tool", "z.py"):
        (root / name).write_text(f"content of {name}")
    (root / "b" / "tool").chmod(0o700)
    return Tree("a tree", root, "usr/lib", frozenset({root / "b" / "other"}))


def written(tree: Tree, folder: Path, **options: int) -> Layer | None:
    folder.mkdir()
    return write_layer(tree, folder, threading.Event(), **options)


def blob(folder: Path, layer: Layer) -> Path:
    return folder / layer.descriptor.digest.encoded


def test_a_walk_is_sorted_and_leaves_out_links_pipes_caches_and_the_folders_of_others(tree: Tree) -> None:
    names = [entry.name for entry in walk(tree)]
    assert names == ["usr/lib/a", "usr/lib/b", "usr/lib/b/tool", "usr/lib/z.py"]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(walk(Tree("nothing", tmp_path / "nothing", "usr"))) == []


@pytest.mark.parametrize(
    ("options", "mode", "kind"),
    [
        ({"size": 3}, 0o644, tarfile.REGTYPE),
        ({"size": 3, "executable": True}, 0o755, tarfile.REGTYPE),
        ({"directory": True}, 0o755, tarfile.DIRTYPE),
    ],
)
def test_an_entry_says_nothing_of_its_machine(options: dict[str, int], mode: int, kind: bytes) -> None:
    info = member("usr/x", **options)  # type: ignore[arg-type]  # a table of options
    assert (info.mode, info.type, info.size) == (mode, kind, options.get("size", 0))
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")


def test_a_layer_is_a_tar_with_the_files_and_their_rights(tree: Tree, tmp_path: Path) -> None:
    layer = written(tree, tmp_path / "blobs")
    assert layer is not None
    with tarfile.open(blob(tmp_path / "blobs", layer)) as archive:
        modes = {info.name: info.mode for info in archive}
        tool = archive.extractfile("usr/lib/b/tool")
        assert tool is not None
        assert tool.read() == b"content of b/tool"
    assert modes == {"usr/lib/a": 0o755, "usr/lib/b": 0o755, "usr/lib/b/tool": 0o755, "usr/lib/z.py": 0o644}
    assert layer.files == 2


def test_the_same_files_make_the_same_layer_at_another_time(tree: Tree, tmp_path: Path) -> None:
    first = written(tree, tmp_path / "first")
    os.utime(tree.root / "z.py", (1, 1))
    second = written(tree, tmp_path / "second")
    assert first == second


def test_a_layer_ends_before_the_file_that_exceeds_its_room(tree: Tree, tmp_path: Path) -> None:
    layer = written(tree, tmp_path / "blobs", room=len("content of b/tool"))
    assert layer is not None
    assert layer.files == 1


@pytest.mark.parametrize("name", ["link", "pipe"])
def test_a_file_that_became_something_else_after_it_was_listed_is_not_read(name: str, tree: Tree) -> None:
    with pytest.raises(OSError, match=name):
        _read(Entry("usr/lib/z.py", tree.root / name, 10))  # private: no test can win the race that it is made for


def test_a_tree_without_files_makes_no_layer_and_leaves_none(tmp_path: Path) -> None:
    assert written(Tree("nothing", tmp_path / "nothing", "usr"), tmp_path / "blobs") is None
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_layer_that_nobody_wants_any_more_is_not_finished(tree: Tree, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        write_layer(tree, tmp_path, stop)


@pytest.fixture
async def image(tree: Tree, tmp_path: Path) -> DemoImage:
    other = Tree("another", Path(__file__).parent, "srv/tests")
    built = await build_image(tmp_path / "image", [tree, other], on_layer=lambda _: None)
    assert built is not None
    return built


async def test_the_image_is_a_layout_with_a_valid_manifest(image: DemoImage) -> None:
    source = LayoutSource(image.path)
    root = await source.resolve(TAG)
    manifest = await source.manifest(root)
    assert root.digest == image.root.digest
    assert parse_manifest(manifest.raw, image.root).blobs == image.blobs
    for descriptor in image.blobs:
        content = (image.path / "blobs" / "sha256" / descriptor.digest.encoded).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (descriptor.size, descriptor.digest.encoded)


async def test_the_diff_ids_are_the_digests_of_the_uncompressed_layers(image: DemoImage) -> None:
    folder = image.path / "blobs" / "sha256"
    config = json.loads((folder / image.config.digest.encoded).read_bytes())
    plain = [gzip.decompress(blob(folder, layer).read_bytes()) for layer in image.layers]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in plain]
    assert [entry["created_by"] for entry in config["history"]] == ["transfer demo: a tree", "transfer demo: another"]


async def test_the_same_files_make_the_same_image(image: DemoImage, tree: Tree, tmp_path: Path) -> None:
    reported: list[Layer] = []
    trees = [layer.tree for layer in image.layers]
    again = await build_image(
        tmp_path / "again", [*trees, Tree("nothing", tmp_path / "x", "x")], on_layer=reported.append
    )
    assert again is not None
    assert (again.root, again.blobs) == (image.root, image.blobs)
    assert sorted(layer.tree.title for layer in reported) == ["a tree", "another"]


async def test_an_image_without_a_file_is_none(tmp_path: Path) -> None:
    nothing = Tree("nothing", tmp_path / "nothing", "usr")
    assert await build_image(tmp_path / "image", [nothing], on_layer=lambda _: None) is None


async def test_a_build_that_is_cancelled_writes_nothing_afterwards(tmp_path: Path) -> None:
    building = asyncio.create_task(build_image(tmp_path / "image", trees(), on_layer=lambda _: None))
    await asyncio.sleep(0.05)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    left = sorted(path.stat().st_size for path in (tmp_path / "image").rglob("*") if path.is_file())
    await asyncio.sleep(0.1)
    assert left == sorted(path.stat().st_size for path in (tmp_path / "image").rglob("*") if path.is_file())
    assert not (tmp_path / "image" / "index.json").exists()


def test_the_trees_of_this_machine_hold_python_botocore_and_this_program() -> None:
    found = {tree.title: tree for tree in trees()}
    assert list(found) == ["Python's standard library", "botocore", "installed packages", "this program"]
    assert (found["Python's standard library"].root / "asyncio" / "__init__.py").is_file()
    assert (found["this program"].root / "cli" / "commands" / "demo" / "machine.py").is_file()
    assert found["botocore"].root in found["installed packages"].left_out
