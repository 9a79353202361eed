"""
Importing the HTTP client without the cost of certificates that nobody reads.

A program may do this, since the process is its own; a library must not.
"""

import os

# OpenSSL's own settings of where the system's certificates are.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def import_http_client() -> None:
    """
    Import aiohttp while the system's certificates are out of sight.

    aiohttp reads them twice at its import, which takes 44 ms; our transport brings its own trust.
    """
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
    try:
        import aiohttp.connector  # noqa: F401 - imported for its effect
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
