"""`transfer mirror --watch` as a process: its output, its signals, and who asks for its health."""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.support.command import Command, served, started
from transfer.cli.options.run_options import parse_address
from transfer.testing.images import ImageBuilder


@dataclass(frozen=True, slots=True)
class Site:
    """A registry that lets everybody in, with an image in `app`, and a file that mirrors it to `copy`."""

    registry: str
    file: Path

    def write(self, *tags: str, more: str = "") -> None:
        mapping = f"{{source: {self.registry}/app, targets: {self.registry}/copy, tags: {{exact: {list(tags)}}}}}"
        self.put(f"mappings: [{mapping}]\n{more}")

    def put(self, text: str) -> None:
        """Replace the file whole: who watches it may look at any moment."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.file)

    def arguments(self, *more: object) -> tuple[object, ...]:
        return ("mirror", "-c", self.file, "--state", self.file.with_name("state"), "--json", *more)


@pytest.fixture
def site(tmp_path: Path, layout: ImageBuilder, command: Command) -> Iterator[Site]:
    with served(auth=False) as server:
        registry = server.url.removeprefix("http://")
        for number, tag in enumerate(("v1", "v2")):
            command.ok("push", layout.image([100], seed=number, tag=tag).source, f"{registry}/app:{tag}", "-q")
        found = Site(registry, tmp_path / "mirror.yaml")
        found.write("v1")
        yield found


def counts(stream: IO[str] | None) -> dict[str, int]:
    """What the next run did, from its line on stdout."""
    assert stream is not None
    found: dict[str, int] = json.loads(stream.readline())["counts"]
    return found


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def lines_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if text in line:
            break
    return lines


def bare(line: str) -> str:
    """A line of the log without its time."""
    return re.sub(r"^\S+Z (?=\S| )", "", line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_run_is_a_line_and_a_signal_is_the_regular_end(site: Site, number: signal.Signals) -> None:
    with started(*site.arguments("--watch", "10ms")) as process:
        assert counts(process.stdout) == {"copied": 1}
        assert counts(process.stdout) == {"unchanged": 1}
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert all(json.loads(line)["counts"] == {"unchanged": 1} for line in out.splitlines())
    lines = err.splitlines()
    assert re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ copied: ", lines[0])
    assert bare(lines[1]).startswith("1 image: 1 copied, ")
    assert bare(lines[2]).startswith("1 image: 1 unchanged, ")
    assert lines[-1] == "stopped"


def test_sighup_reads_the_file_and_runs_at_once_and_a_bad_one_changes_nothing(site: Site) -> None:
    with started(*site.arguments("--watch", "1d")) as process:
        assert counts(process.stdout) == {"copied": 1}
        site.write("v1", "v2")
        process.send_signal(signal.SIGHUP)
        assert counts(process.stdout) == {"copied": 1, "unchanged": 1}
        site.put("mappings: 1\n")
        process.send_signal(signal.SIGHUP)
        assert counts(process.stdout) == {"unchanged": 2}
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert f"read {site.file} again" in err
    reported = [bare(line) for line in err[err.index("the configuration stays") :].splitlines()]
    assert reported[0] == "the configuration stays as it was; what is there now is wrong:"
    assert reported[1].startswith(f"  {site.file}:1: mappings: ")


def test_the_file_says_when_where_the_option_does_not(site: Site) -> None:
    site.write("v1", more="watch: 10ms\n")
    with started(*site.arguments("--watch", "--quiet")) as process:
        assert [counts(process.stdout) for _ in range(2)] == [{"copied": 1}, {"unchanged": 1}]
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_health_is_answered_until_the_end(site: Site) -> None:
    with started(*site.arguments("--watch", "1d", "--listen", "127.0.0.1:0")) as process:
        (line,) = lines_until(process, "listening at ")
        url = line.removeprefix("listening at ")
        assert get(f"{url}/healthz") == (200, "ok\n")
        assert counts(process.stdout) == {"copied": 1}
        lines_until(process, "1 image: ")
        assert get(f"{url}/readyz") == (200, "ok\n")
        status, text = get(f"{url}/metrics")
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert (status, process.returncode) == (200, 0), err
    assert 'transfer_mirror_images_total{status="copied"} 1.0' in text.splitlines()
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/healthz")


def test_a_mapping_that_cannot_be_looked_at_is_down_and_the_mirror_ready(site: Site) -> None:
    site.file.write_text(f"mappings: [{{source: {site.registry}/nothing, targets: {site.registry}/copy}}]\n")
    with started(*site.arguments("--watch", "1d", "--listen", "127.0.0.1:0")) as process:
        url = lines_until(process, "listening at ")[0].removeprefix("listening at ")
        assert counts(process.stdout) == {"failed": 1}
        assert get(f"{url}/healthz") == (200, "ok\n")
        assert get(f"{url}/readyz")[0] == 200
        assert 'transfer_mapping_up{mapping="mappings[0]"} 0.0' in get(f"{url}/metrics")[1]
        assert 'transfer_mirror_failures_total{error="NotFound"} 1.0' in get(f"{url}/metrics")[1]
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_report_is_replaced_whole_by_each_run(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    report = folder / "report.json"
    with started(*site.arguments("--watch", "1ms", "--report", report)) as process:
        assert counts(process.stdout) == {"copied": 1}
        assert counts(process.stdout) == {"unchanged": 1}
        seen = [json.loads(report.read_text())["counts"] for _ in range(200)]
        process.terminate()
        process.communicate(timeout=30)
    assert seen[-1] == {"unchanged": 1}
    assert [path.name for path in folder.iterdir()] == ["report.json"]
    assert report.stat().st_mode & 0o444 == 0o444


def test_a_report_that_cannot_be_written_stops_nothing(site: Site, tmp_path: Path) -> None:
    with started(*site.arguments("--watch", "10ms", "--report", tmp_path / "no" / "report.json")) as process:
        assert [counts(process.stdout) for _ in range(2)] == [{"copied": 1}, {"unchanged": 1}]
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert f"report {tmp_path}/no/report.json: No such file or directory" in err


@pytest.mark.parametrize(
    ("more", "reported"),
    [
        (("--watch",), "no schedule: give 30m or '15 3 * * *', or 'watch' in the file"),
        (("--watch", "soon"), "watch: 'soon' is not an interval such as 30s, 15m or 1h30m"),
        (("--listen", "127.0.0.1:0"), "--listen requires --watch"),
        (("--watch", "1s", "--failures", "f"), "--watch and --failures exclude each other"),
        (("--watch", "1s", "--dry-run"), "--watch and --dry-run exclude each other"),
        (("--watch", "1s", "--listen", "9090"), "'9090' is not HOST:PORT"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    site: Site, command: Command, more: tuple[str, ...], reported: str
) -> None:
    ended = command(*site.arguments(*more))
    assert ended.code == 2
    assert reported in ended.err
    assert reported in json.loads(ended.out)["error"]["message"]


def test_an_address_that_is_taken_is_one_line(site: Site, command: Command) -> None:
    ended = command(*site.arguments("--watch", "1s", "--listen", site.registry))
    assert ended.code == 2
    assert ended.err == f"transfer: cannot listen on {site.registry}: address already in use; name another\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9090", ("127.0.0.1", 9090)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        *((text, None) for text in ("", ":9090", "host:", "host:65536", "host:x", "host:-1", "::1", "[]:1", "host:१")),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int] | None) -> None:
    if address is None:
        with pytest.raises(ValueError, match="is not HOST:PORT"):
            parse_address(text)
    else:
        assert parse_address(text) == address
