"""podman with a store of its own, where it is installed and can run."""

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PODMAN = shutil.which("podman")


@dataclass(frozen=True, slots=True)
class Podman:
    """A podman whose images lie in a folder, whose path may not be long."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "api.sock"

    def command(self, *arguments: object) -> list[str]:
        store = ["--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run", "--storage-driver", "vfs"]
        return [PODMAN or "", *store, *map(str, arguments)]

    def __call__(self, *arguments: object, stdin: bytes | None = None) -> str:
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()


@functools.cache
def cannot_run() -> str | None:
    """Why podman cannot be used here: it is not installed, or a container around us forbids it."""
    if PODMAN is None:
        return "needs podman: apt-get install -y podman"
    with TemporaryDirectory(prefix="pod-") as folder:
        done = subprocess.run(Podman(Path(folder)).command("info"), capture_output=True, timeout=60, check=False)
    return None if done.returncode == 0 else f"podman cannot run here: {done.stderr.decode()[-200:]}"
