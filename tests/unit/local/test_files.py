"""Files and folders as artifacts: what is made of them, and what is written of a stranger's."""

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from transfer import ContentMismatch, Server, pull_files, push_files
from transfer.endpoints.registry_access import RegistryAccess
from transfer.errors import InvalidConfig, InvalidManifest, InvalidReference, TransferError
from transfer.events import Event, Notice
from transfer.local.files.artifact import CONTENT_DIGEST, DEFAULT_TYPE, TITLE, UNPACK, build_artifact, split_media_type
from transfer.local.files.write import safe_names
from transfer.model.descriptor import OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.testing.images import OCI_EMPTY, ImageBuilder

LOGIN = RegistryAccess(login="transfer:transfer", plain_http=True)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    (folder / "data" / "sub").mkdir(parents=True)
    (folder / "model.bin").write_bytes(os.urandom(3_000_000))
    (folder / "notes.txt").write_text("hello")
    (folder / "data" / "a.txt").write_text("a")
    (folder / "data" / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "data" / "sub" / "run.sh").chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_files_and_folders_come_back(work: Path, tmp_path: Path, compression: Any) -> None:
    async with Server() as server:
        target = f"{server.url.removeprefix('http://')}/models/one:v1"
        pushed = await push_files(
            target,
            ["model.bin", "notes.txt:text/plain", "data"],
            artifact_type="application/vnd.example.model",
            annotations={"k": "v"},
            compression=compression,
            target_access=LOGIN,
        )
        written = await pull_files(target, tmp_path / "out", access=LOGIN)

    assert pushed.uploaded.count == 4
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["model.bin", "notes.txt", "data"]
    for name in ("model.bin", "notes.txt", "data/a.txt", "data/sub/run.sh"):
        assert (tmp_path / "out" / name).read_bytes() == (work / name).read_bytes()
    assert os.access(tmp_path / "out" / "data" / "sub" / "run.sh", os.X_OK)
    assert not os.access(tmp_path / "out" / "data" / "a.txt", os.X_OK)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_a_manifest_is_as_oras_writes_it_and_the_same_each_time(work: Path) -> None:
    made = [build_artifact(["notes.txt:text/plain", "data"], annotations={"k": "v"}) for _ in range(2)]
    for one in made:
        one.close()

    document = json.loads(made[0].manifest.raw)
    assert made[0].manifest.raw == made[1].manifest.raw
    assert document["artifactType"] == DEFAULT_TYPE
    assert document["config"]["mediaType"] == OCI_EMPTY
    assert document["annotations"] == {"k": "v"}
    assert [layer["mediaType"] for layer in document["layers"]] == ["text/plain", OCI_LAYER_GZIP]
    assert document["layers"][0]["annotations"] == {TITLE: "notes.txt"}
    assert document["layers"][1]["annotations"] | {CONTENT_DIGEST: ""} == {
        TITLE: "data",
        UNPACK: "true",
        CONTENT_DIGEST: "",
    }


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a.bin", ("a.bin", None)),
        ("a.bin:text/plain", ("a.bin", "text/plain")),
        ("dir:x/a:b", ("dir:x/a:b", None)),
        ("dir/a:application/x+y", ("dir/a", "application/x+y")),
    ],
)
def test_a_media_type_follows_a_path(text: str, split: tuple[str, str | None]) -> None:
    assert split_media_type(text) == split


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ([], InvalidReference),
        (["absent"], InvalidReference),
        (["notes.txt", "./notes.txt"], InvalidReference),
        (["/dev/null"], InvalidReference),
        (["notes.txt:text/pl ain"], InvalidConfig),
    ],
)
def test_what_cannot_be_pushed_is_named(work: Path, files: list[str], kind: type[TransferError]) -> None:
    with pytest.raises(kind) as caught:
        build_artifact(files)
    assert "\n" not in str(caught.value)


BAD_TITLES = [
    *(
        "",
        "..",
        ".",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "a\\b",
        "C:x",
        "a:b",
        "CON",
        "con.txt",
        "a/nul",
    ),
    *("a\0b", "a\nb", "\x1b[31m", "a" * 256, "a/" * 2100 + "b", "trailing.", "trailing "),
]


@pytest.mark.parametrize("title", BAD_TITLES)
@pytest.mark.attack("title-as-path")
def test_a_title_that_is_no_path_below_a_folder_is_refused(title: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        safe_names(title)


@pytest.mark.parametrize("title", ["a", "a/b.txt", "ü/日本", ".hidden", "console", "a b"])
def test_a_title_is_a_path(title: str) -> None:
    assert "/".join(safe_names(title)) == title


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


def link(name: str, target: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def stranger(layout: ImageBuilder, *layers: tuple[bytes, dict[str, str]]) -> str:
    """An artifact in a layout, with whatever titles and contents."""
    entries = []
    for content, notes in layers:
        blob = layout.blob(content, OCI_LAYER_GZIP)
        entries.append(Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, annotations=notes))
    root = layout._document(OCI_MANIFEST, config=layout.blob(b"{}", OCI_EMPTY), layers=entries)
    return layout._listed(root, (), (), f"bad-{root.digest.encoded[:8]}").source


TARS: dict[str, Callable[[], bytes]] = {
    "up": lambda: packed((tarfile.TarInfo("../evil"), b"x")),
    "absolute": lambda: packed((tarfile.TarInfo("/tmp/evil"), b"x")),
    "through a link": lambda: packed(link("d/l", "/tmp", tarfile.SYMTYPE), (tarfile.TarInfo("d/l/evil"), b"x")),
    "a symbolic link": lambda: packed(link("d/l", "a", tarfile.SYMTYPE)),
    "a hard link": lambda: packed(link("d/l", "../../etc/passwd", tarfile.LNKTYPE)),
    "a device": lambda: packed(link("d/l", "", tarfile.CHRTYPE)),
    "a name of Windows": lambda: packed((tarfile.TarInfo("d/CON"), b"x")),
    "no tar": lambda: gzip.compress(b"x" * 2000),
    "cut": lambda: packed((tarfile.TarInfo("d/a"), os.urandom(5000)))[:-100],
}


@pytest.mark.parametrize("name", TARS)
@pytest.mark.attack("CVE-2021-21272", "CVE-2026-50163", "CVE-2007-4559")
async def test_a_tar_that_leads_astray_writes_nothing(name: str, layout: ImageBuilder, tmp_path: Path) -> None:
    source = stranger(layout, (TARS[name](), {TITLE: "d", UNPACK: "true"}))

    with pytest.raises(InvalidManifest) as caught:
        await pull_files(source, tmp_path / "out")

    assert "\n" not in str(caught.value)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("title", ["../evil", "/tmp/evil", "CON", "a:b"])
@pytest.mark.attack("title-as-path")
async def test_a_title_that_leads_astray_writes_nothing(title: str, layout: ImageBuilder, tmp_path: Path) -> None:
    source = stranger(layout, (b"good", {TITLE: "good"}), (b"x", {TITLE: title}))

    with pytest.raises(InvalidManifest, match="is no path below a folder"):
        await pull_files(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("linked", ["folder", "file"])
@pytest.mark.attack("GHSA-8xwf-rjm4-xvhv")
async def test_links_that_lie_in_the_folder_are_not_followed(linked: str, layout: ImageBuilder, tmp_path: Path) -> None:
    source = stranger(layout, (b"content", {TITLE: "d/file"}))
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "file").write_text("before")
    out.mkdir()
    if linked == "folder":
        (out / "d").symlink_to(outside)
        with pytest.raises(TransferError):
            await pull_files(source, out)
    else:
        (out / "d").mkdir()
        (out / "d" / "file").symlink_to(outside / "file")
        await pull_files(source, out)
        assert (out / "d" / "file").read_bytes() == b"content"

    assert (outside / "file").read_text() == "before"


async def test_a_layer_without_a_title_is_left_out_and_two_of_one_are_refused(
    layout: ImageBuilder, tmp_path: Path
) -> None:
    events: list[Event] = []
    written = await pull_files(
        stranger(layout, (b"one", {}), (b"two", {TITLE: "two"})), tmp_path / "out", observer=events.append
    )
    assert [path.name for path in written] == ["two"]
    assert any(isinstance(event, Notice) and "no title" in event.message for event in events)

    with pytest.raises(InvalidManifest, match="one title"):
        await pull_files(stranger(layout, (b"one", {TITLE: "x"}), (b"two", {TITLE: "x"})), tmp_path / "two")


async def test_a_file_that_is_not_what_its_digest_says_does_not_appear(layout: ImageBuilder, tmp_path: Path) -> None:
    source = stranger(layout, (b"content", {TITLE: "file"}))
    blob = layout.blob(b"content", OCI_LAYER_GZIP)
    (layout.path / "blobs" / "sha256" / blob.digest.encoded).write_bytes(b"CONTENT")

    with pytest.raises(ContentMismatch):
        await pull_files(source, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
