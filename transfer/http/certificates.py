"""
The certificates that this machine trusts, read when they are needed or ahead of that.

Reading takes about 30 ms, without the interpreter's lock: a program that knows that it will talk to a registry has
them read while it imports the rest. Knows no registry, and no setting but OpenSSL's own (SSL_CERT_FILE, SSL_CERT_DIR).
"""

import ssl
import threading
from contextlib import suppress


class _Ahead(threading.Thread):
    """Reads them; `trust` stays None where they cannot be read, which who reads them next will tell."""

    def __init__(self) -> None:
        super().__init__()
        self.trust: ssl.SSLContext | None = None
        # Looked up now: by the time that the thread gets there, the environment may be another.
        self._paths = ssl.get_default_verify_paths()

    def run(self) -> None:
        file, folder = self._paths.cafile, self._paths.capath
        with suppress(OSError):
            if file or folder:
                self.trust = ssl.create_default_context(cafile=file, capath=folder)


_ahead: list[_Ahead] = []


def read_ahead() -> None:
    """Begin to read them in a thread, for the first one that needs them; for a program, whose process is its own."""
    thread = _Ahead()
    thread.start()
    _ahead.append(thread)


def system_trust() -> ssl.SSLContext:
    """
    A context of its caller's own that trusts them; blocks.

    Raises:
        OSError: they cannot be read.
    """
    while _ahead:
        thread = _ahead.pop()
        thread.join()
        if thread.trust is not None:
            return thread.trust
    return ssl.create_default_context()
