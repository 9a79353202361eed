"""
Report words that this project no longer uses: `python tools/check_words.py [FILE…]`, all tracked files by default.

Names are checked in code, phrases in comments, strings and Markdown. The glossary of CONTRIBUTING.md has the words
to use.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

# Old name: the name to use.
NAMES = {
    "Broadcast": "Fanout",
    "Coming": "PlannedContent",
    "Exchange": "RegistryHttp",
    "Flights": "SingleFlight",
    "Followed": "ConfigReloader",
    "Gathering": "Barrier",
    "Habits": "RegistryCapabilities",
    "Holdings": "MountCandidates",
    "Lane": "ThreadClient",
    "Ledger": "ReportBuilder",
    "Mistake": "Diagnostic",
    "Pulls": "PullRateLimit",
    "Sharing": "BlobDeduplicator",
    "Surroundings": "Route",
    "Survey": "Discovery",
    "Tally": "CountingObserver",
    "Vacancies": "EmptyRepositories",
    "Want": "BlobRequest",
    "greet": "warm_up",
    "on_side": "errors.attributed_to",
    "run_in_lane": "run_in_worker",
    "said": "what was reported, by its name",
    "surroundings": "route, tls or environment",
    "told": "what was reported, by its name",
    "whom": "the recipient, by its name",
}
# Phrases of the old texts, as regular expressions.
PHRASES = {
    r"\bgreet(s|ed|ing)?\b": "warm up a connection",
    r"\bthe lane\b": "worker threads",
    r"\bthe ends\b|\bboth ends\b|\beither end\b": "source and target, or endpoints",
    r"\bvacant repositor": "an empty repository",
    r"\bwhom\b": "name the recipient",
    r"\bwhat is no\b": "what is not",
    r"\bin the end(s)? of others\b": "elsewhere",
    r"\bis told\b|\bare told\b": "receives, or is passed",
    r"\bsay so\b|\bsaid so\b": "reports it",
}
EXEMPT = {"tools/check_words.py", "CHANGELOG.md"}
DEPRECATED = {("transfer/mirror/__init__.py", "Followed")}


def found_in_python(path: str, text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, word and advice for each old name or phrase of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in NAMES and (path, token.string) not in DEPRECATED:
            yield token.start[0], token.string, NAMES[token.string]
        elif token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from found_in_prose(token.string, token.start[0])


def found_in_prose(text: str, first_line: int = 1) -> Iterator[tuple[int, str, str]]:
    """Yield line, phrase and advice for each old phrase of a text."""
    for pattern, advice in PHRASES.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield first_line + text.count("\n", 0, match.start()), match.group(), advice


def tracked_files() -> list[str]:
    """Return the paths of all Python and Markdown files under version control."""
    command = ["git", "ls-files", "*.py", "*.md"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a fixed command
    return listing.stdout.splitlines()


def main() -> int:
    count = 0
    for path in sys.argv[1:] or tracked_files():
        if path in EXEMPT:
            continue
        text = Path(path).read_text(encoding="utf-8")
        hits = found_in_python(path, text) if path.endswith(".py") else found_in_prose(text)
        for line, word, advice in hits:
            sys.stderr.write(f"{path}:{line}: {word!r}: use {advice}\n")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
