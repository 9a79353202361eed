"""The folder of a registry that keeps nothing, and those that registries which were killed have left."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# What is in the folder of a registry that runs, and locked by it.
LOCK = "lock"
_PREFIX = "transfer-registry-"
# One that is younger may be about to be locked.
_OLD_SECONDS = 60.0


@contextmanager
def temporary_data() -> Iterator[Path]:
    """A new folder, which is removed at the end, as those are that were left behind."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            _remove_left(folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as created:
        yield Path(created)


def _remove_left(folder: Path) -> None:
    """Remove the folder of a registry of this user that does not run any more."""
    with suppress(OSError, Timeout):
        found = folder.lstat()
        is_old = found.st_mtime < time.time() - _OLD_SECONDS
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or not is_old or not (folder / LOCK).exists():
            return
        with FileLock(folder / LOCK).acquire(timeout=0):
            shutil.rmtree(folder)
