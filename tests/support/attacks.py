"""
Known attacks on tools of this kind, by the identifiers of public reports; each is a test that carries its identifier.

`make attacks` runs them and prints this table with their results. A row without a test says why it cannot apply.
"""

import pytest

# By identifier: what the hostile side does.
ROWS: dict[str, str] = {
    # Credentials sent to the wrong place.
    "CVE-2020-15157": "a layer's urls lead to a server that asks for a login like a registry",
    "CVE-2026-48978": "a realm without TLS, or inside the private network, for a registry with TLS",
    "GHSA-28r5-37g7-p6mp": "a realm on a host that has nothing to do with the registry",
    "CVE-2026-50151": "an upload session's Location on another host",
    "GHSA-vh4v-2xq2-g5cg": "a redirect to another port or scheme of the same host",
    "ggcr-2193": "a realm whose answer is no token, and is sent on as one",
    "ggcr-2291": "a token server that redirects to an address of the private network",
    "ggcr-2440": "a public name that resolves to a private address",
    "CVE-2026-33990": "a realm that is checked on some ways to a registry only",
    "CVE-2026-33540": "one side's credentials asked for by the other side",
    "CVE-2025-51471": "a realm on another domain at a pull",
    "GHSA-9m43-p3cx-w8j5": "an untrusted image that makes the tool offer the user's credentials",
    "CVE-2019-10214": "tokens fetched without the TLS rules of the registry",
    "CVE-2018-18074": "a redirect from https to http on the same host",
    "CVE-2018-20060": "Authorization kept on a redirect to another host",
    "CVE-2023-43804": "cookies kept on a redirect to another host",
    "CVE-2023-45803": "the body of a request sent on to where a redirect leads",
    "CVE-2023-32681": "the proxy's password shown to the registry",
    "CVE-2024-47081": "a URL that makes .netrc's credentials go elsewhere",
    "CVE-2024-35195": "trust in one registry that sticks to the connections of another",
    "aiohttp-redirects": "two Authorization headers, of which a redirect drops one",
    "CVE-2021-32690": "an address inside an image that gets the registry's password",
    "lookalike-ecr-host": "a host that imitates ECR's",
    "CVE-2020-5260": "control characters in a host that is handed to a credential helper",
    # Content that is not what was asked for.
    "GHSA-qv35-3gw6-8q4j": "another manifest under the digest that was asked for",
    "CVE-2021-41190": "a document that is an image and an index",
    "CVE-2014-8179": "a manifest with a second document, or a key twice",
    "bad-descriptor-size": "sizes that are negative, too large or no numbers",
    "truncated-body": "bodies that are shorter or longer than they say",
    "wrong-content-range": "another range than the one asked for",
    "changed-etag": "a second part of another object",
    "CVE-2024-29903": "more layers or referrers than any image has",
    "wrong-redirect": "a redirect to another object",
    "index-bombs": "indexes that name each other, nested without end, or by the thousand",
    "endless-pages": "lists whose pages never end, or lead to another host",
    "CVE-2026-35172": "a blob that is believed to be there and was deleted",
    "CVE-2024-39897": "a mount of what the credentials may not read",
    # Paths, archives, decompression, memory.
    "CVE-2024-3727": "digests that are paths",
    "CVE-2024-37032": "digests that are paths, written to disk",
    "CVE-2021-21272": "a tar with a link, and a file through it",
    "CVE-2026-50163": "a hard link out of the folder",
    "GHSA-8xwf-rjm4-xvhv": "a link that lies in the folder that is written to",
    "CVE-2007-4559": "names in a tar that lead out of the folder",
    "CVE-2025-8194": "a tar header that leads backwards",
    "CVE-2021-29136": "folders of a layout that are links",
    "title-as-path": "a title that leads out of the folder, or is a device on Windows",
    "GHSA-f36w-mj3v-6jqv": "a descriptor of a terabyte",
    "CVE-2020-1702": "a manifest of gigabytes",
    "CVE-2023-25153": "a huge document in an archive",
    "CVE-2024-29902": "a huge attachment",
    "CVE-2023-2253": "a list with pages of any size",
    "CVE-2025-66471": "answers that are compressed though nobody asked",
    "CVE-2025-69223": "answers in very many tiny pieces",
    "CVE-2025-13836": "an answer that says it is of exabytes",
    "CVE-2020-10735": "a number of a million digits",
    "deep-json": "JSON nested a hundred thousand deep",
    "CVE-2020-14343": "objects and aliases in YAML",
    "compression-bombs": "little that decompresses to much",
    # Protocol and parser.
    "CVE-2023-49081": "line breaks in what becomes a header",
    "CVE-2023-47627": "answers that frame their body in two ways",
    "www-authenticate": "challenges of every shape",
    "reference-parsing": "references of every shape",
    "location-forms": "Location headers of every shape",
    "upload-range": "an upload session that claims other bytes than were sent",
    "retry-after": "Retry-After of every shape",
    "content-digest": "a Docker-Content-Digest that is wrong or missing",
    "CVE-2025-24976": "a token whose content is believed",
    "secrets-in-logs": "signed addresses, passwords and tokens in messages and logs",
    "terminal-escapes": "characters that move a terminal's cursor",
    "config-trust": "a configuration that reads secrets which it does not name",
}

# Why a row has no test.
NOT_APPLICABLE: dict[str, str] = {
    "CVE-2025-24976": "tokens are opaque here: nothing in one is read",
    "aiohttp-redirects": "the HTTP client follows no redirect, and each request carries one Authorization header",
    "CVE-2023-47627": "no answer of a registry is passed on to another client, so that none can be split in two",
    "CVE-2024-39897": "a mount is asked for from repositories that this run has read or written with the same login",
}

_OUTCOMES: dict[str, dict[str, str]] = {}
_MARKED: dict[str, tuple[str, ...]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note which rows each test stands for."""
    for item in items:
        rows = tuple(row for mark in item.iter_markers("attack") for row in mark.args)
        if rows:
            _MARKED[item.nodeid] = rows


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test ended; the worst of its phases and of its parameters counts."""
    for row in _MARKED.get(report.nodeid, ()):
        name = report.nodeid.partition("[")[0]
        before = _OUTCOMES.setdefault(row, {}).get(name, "passed")
        _OUTCOMES[row][name] = report.outcome if before == "passed" else before


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each row: its identifier, what it does, its tests, and how they ended."""
    for row, what in ROWS.items():
        tests = _OUTCOMES.get(row, {})
        reason = NOT_APPLICABLE.get(row)
        terminalreporter.write_line(f"{row:22} {'n/a' if reason else _worst(tests):8} {what}")
        for line in [f"not applicable: {reason}"] if reason else sorted(tests):
            terminalreporter.write_line(f"{'':31} {line}")


def _worst(tests: dict[str, str]) -> str:
    outcomes = set(tests.values())
    return next((one for one in ("failed", "skipped", "passed") if one in outcomes), "no test")
