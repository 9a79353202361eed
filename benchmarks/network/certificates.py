"""A certificate authority of this run alone, and a certificate for 127.0.0.1, in a folder."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from benchmarks.values import BenchmarkFailed


@dataclass(frozen=True, slots=True)
class Certificates:
    """
    PEM files.

    Attributes:
        authority: whose certificates count.
        server: the certificate of 127.0.0.1 with its key.
    """

    authority: Path
    server: Path

    @property
    def context(self) -> ssl.SSLContext:
        """For who connects."""
        return ssl.create_default_context(cafile=str(self.authority))


def make_certificates(folder: Path) -> Certificates:
    """
    Make both.

    Raises:
        BenchmarkFailed: trustme is not installed.
    """
    try:
        import trustme  # noqa: PLC0415 - only scenarios with TLS need it
    except ImportError:
        raise BenchmarkFailed("TLS needs trustme: pip install '.[dev]'") from None
    made = Certificates(folder / "authority.pem", folder / "server.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(made.server)
    return made
