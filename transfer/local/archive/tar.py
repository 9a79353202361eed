"""
An index of a tar: which member lies where, built in one pass that reads headers only.

Nothing is ever extracted. Python's tarfile reads the headers; what a hostile archive could do with it is caught here:
links, devices and sparse members, names that leave the archive or stand twice, sizes beyond its end, headers that
lead backwards (CVE-2025-8194) or are larger than any archiver writes, members without end.
"""

import os
import posixpath
import tarfile
from dataclasses import dataclass, field
from typing import BinaryIO, cast

BLOCK = 512
# The end mark: two blocks of zeros.
END_MARK_BYTES = 2 * BLOCK

# Headers are 512 bytes; one with a long name or a few pax records is at most a few thousand.
_MOST_HEADER_BYTES = 64 * 1024
# docker save writes four members a layer: this is some hundred images of a hundred layers.
_MOST_MEMBERS = 65_536
_MOST_GLOBAL_RECORDS = 64
_LONGEST_SHOWN = 120


class TarRefused(ValueError):
    """Why a tar cannot be used, for the caller to say of which."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular member: where its header and its content begin, and the bytes of its content."""

    header: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class TarIndex:
    """
    The members of a tar.

    Attributes:
        members: regular members by name.
        links: what the symbolic links inside the archive lead to, where links are taken.
        end: where the end mark is, or the end of a file that has none.
    """

    members: dict[str, Member] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    end: int = 0

    def find(self, name: str) -> Member | None:
        """Return the member of that name, through at most one link: links to links are not followed."""
        return self.members.get(self.links.get(name, name))


class _Headers:
    """The file as tarfile may use it: forwards, and a header's worth at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_HEADER_BYTES:
            raise TarRefused(f"a header at byte {self._position} wants {size} bytes, more than {_MOST_HEADER_BYTES}")
        data = self._file.read(size)
        self._position += len(data)
        return data

    def seek(self, position: int) -> int:
        # tarfile probes the last byte before the next header, which may be the last byte that it has read.
        if position < self._position - 1:
            raise TarRefused(f"a header before byte {self._position} leads back to byte {position}")
        self._position = position
        return self._file.seek(position)

    def tell(self) -> int:
        return self._position


def index_tar(file: BinaryIO, *, links: bool = False) -> TarIndex:
    """
    Read all headers of an uncompressed tar.

    Args:
        links: take symbolic links, as names inside the archive; they are refused otherwise.

    Raises:
        TarRefused: it is damaged or no tar, or has what a tar of images never has.
        OSError: it cannot be read.
    """
    try:
        index = _scan(file, links=links)
    except TarRefused:
        raise
    # What tarfile raises for headers that it cannot make sense of is not all documented.
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError, EOFError) as error:
        raise TarRefused(f"it is no tar, or damaged: {error}") from None
    except RecursionError:
        raise TarRefused("its headers are nested too deeply") from None
    _check_end(file, index.end)
    return index


def _scan(file: BinaryIO, *, links: bool) -> TarIndex:
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    index, end = TarIndex(), 0
    with tarfile.open(fileobj=cast("BinaryIO", _Headers(file)), mode="r:", errorlevel=2) as tar:
        while (info := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined] # not in the stubs; it would keep every header it has seen
            if info.offset_data + info.size > total:
                raise TarRefused(f"it is cut off at byte {total}, inside of {_shown(info.name)}")
            if len(tar.pax_headers) > _MOST_GLOBAL_RECORDS:
                raise TarRefused(f"it has more than {_MOST_GLOBAL_RECORDS} global header records")
            _add(index, info, links=links)
            # Newer versions of tarfile go on behind a header that they refuse, and call that the end.
            end = tar.offset
        return TarIndex(index.members, index.links, end)


def _add(index: TarIndex, info: tarfile.TarInfo, *, links: bool) -> None:
    name = _name(info.name)
    if info.isdir():
        return
    if len(index.members) + len(index.links) >= _MOST_MEMBERS:
        raise TarRefused(f"it has more than {_MOST_MEMBERS} members")
    if name in index.members or name in index.links:
        raise TarRefused(f"{_shown(name)} occurs twice")
    if info.issym() and links:
        index.links[name] = _name(posixpath.join(posixpath.dirname(name), info.linkname))
    elif info.isreg() and not info.issparse():
        index.members[name] = Member(info.offset, info.offset_data, info.size)
    else:
        kind = "a link" if info.issym() or info.islnk() else "sparse" if info.issparse() else "not a plain file"
        raise TarRefused(f"{_shown(name)} is {kind}: only plain files are read")


def _name(text: str) -> str:
    """Return a member's name without `./`; refused when it leads out of the archive."""
    name = posixpath.normpath(text)
    if name == ".." or name.startswith(("/", "../")) or "\0" in name:
        raise TarRefused(f"{_shown(text)} leads out of the archive")
    return name


def _check_end(file: BinaryIO, end: int) -> None:
    """tarfile takes a header that it cannot read for the end."""
    file.seek(end)
    if file.read(BLOCK).strip(b"\0"):
        raise TarRefused(f"its header at byte {end} is damaged")


def _shown(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…")
