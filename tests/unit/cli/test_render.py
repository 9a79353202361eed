"""What a push shows while it runs, as lines, as JSON and as a picture."""

import asyncio
import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from transfer.cli.display.choose import choose_form, observing
from transfer.cli.display.json_lines import encode
from transfer.cli.display.plain_lines import PlainRenderer, describe, progress_line
from transfer.cli.display.terminal import TerminalRenderer, picture
from transfer.events import BlobFinished, BlobProgress, BlobStarted, Event, ManifestPushed, Notice, Planned, Retrying
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.progress import Progress, begin, fold

MB = 1_000_000


def layer(number: int, size: int) -> Descriptor:
    return Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(bytes([number])), size=size)


LARGE, SMALL = layer(1, 100 * MB), layer(2, 20 * MB)
PLAN = Planned(blobs=3, size=150 * MB, missing_blobs=2, missing_size=120 * MB)


def after(*timed: tuple[float, Event]) -> Progress:
    progress = begin(0.0)
    for now, event in timed:
        progress = fold(progress, event, now)
    return progress


def plain(*steps: tuple[float, Event | None]) -> list[str]:
    """The lines of a renderer for some events; None is a tick."""
    lines: list[str] = []
    renderer = PlainRenderer(lines.append)
    progress = begin(0.0)
    for now, event in steps:
        if event is None:
            renderer.tick(progress, now)
        else:
            progress = fold(progress, event, now)
            renderer.event(event, progress, now)
    return lines


@pytest.mark.parametrize(
    ("wanted", "quiet", "terminal", "environment", "form"),
    [
        ("auto", False, True, {"TERM": "xterm"}, "tty"),
        ("auto", False, True, {"TERM": "dumb"}, "plain"),
        ("auto", False, True, {}, "plain"),
        ("auto", False, True, {"TERM": "xterm", "CI": "true"}, "plain"),
        ("auto", False, True, {"TERM": "xterm", "NO_COLOR": "1"}, "tty"),
        ("auto", False, False, {"TERM": "xterm"}, "plain"),
        ("tty", False, False, {}, "tty"),
        ("json", False, True, {"TERM": "xterm"}, "json"),
        ("plain", False, True, {"TERM": "xterm"}, "plain"),
        ("json", True, True, {"TERM": "xterm"}, "none"),
    ],
)
def test_a_display_is_drawn_only_where_a_person_looks(
    wanted: str, quiet: bool, terminal: bool, environment: dict[str, str], form: str
) -> None:
    assert choose_form(wanted, quiet=quiet, terminal=terminal, environment=environment) == form


def test_a_log_says_what_there_is_to_do_and_then_how_far_it_is() -> None:
    lines = plain(
        (0, PLAN),
        (0, BlobStarted(LARGE)),
        (0, BlobStarted(SMALL)),
        (5, BlobProgress(LARGE.digest, 30 * MB)),
        (10, None),
    )
    assert lines == [
        "3 blobs (150 MB): 1 present (30.0 MB), 2 to send (120 MB)",
        "30.0 MB of 120 MB (25%), 3.00 MB/s, 0:30 left, blobs 0 of 2, 2 active",
    ]


def test_a_log_ends_with_all_bytes_sent() -> None:
    tagged = ManifestPushed(LARGE.digest, "v1")
    lines = plain(
        (0, PLAN), (1, BlobFinished(layer(3, 30 * MB), "present")), (2, sent(LARGE)), (3, sent(SMALL)), (4, tagged)
    )
    assert lines[1:] == ["all 120 MB sent, writing the manifests"]


def sent(blob: Descriptor) -> BlobFinished:
    return BlobFinished(blob, "uploaded")


def test_a_log_is_silent_while_nothing_changes_and_then_says_so_ever_less_often() -> None:
    started: list[tuple[float, Event | None]] = [(0, PLAN), (0, BlobStarted(LARGE)), (1, BlobProgress(LARGE.digest, 9))]
    lines = plain(*started, *((float(now), None) for now in range(10, 311, 10)))
    short = LARGE.digest.short
    assert lines[2:] == [
        f"stalled: nothing confirmed for 39 s; waiting for {short}",
        f"stalled: nothing confirmed for 79 s; waiting for {short}",
        f"stalled: nothing confirmed for 159 s; waiting for {short}",
    ]


def test_a_notice_is_told_once_and_a_retry_each_time() -> None:
    notice = Notice("journal \x1b[31m/x is locked")
    retry = Retrying("UploadLayerPart to app", 2, 0.75, "timed out")
    lines = plain((0, notice), (1, notice), (2, retry), (3, retry))
    line = "retry: UploadLayerPart to app: timed out; attempt 3 in 0.8 s"
    assert lines == ["note: journal [31m/x is locked", line, line]


def test_a_retry_does_not_name_its_action_twice() -> None:
    (line,) = plain((0, Retrying("PutImage app", 1, 0.25, "PutImage app: 429 slow down")))
    assert line == "retry: PutImage app: 429 slow down; attempt 2 in 0.2 s"


def test_a_retry_says_for_how_long_it_has_failed_and_when_it_will_be_given_up() -> None:
    (line,) = plain((0, Retrying("PutImage app", 4, 7.5, "PutImage app: 503 down", 40.0, 260.0)))
    assert line == ("retry: PutImage app: 503 down; attempt 5 in 7.5 s, failing for 0:40, tried for 4:20 more")


def test_what_comes_to_this_machine_is_downloaded() -> None:
    progress = fold(begin(0.0, download=True), PLAN, 0.0)
    assert describe(PLAN, download=True) == "3 blobs (150 MB): 1 present (30.0 MB), 2 to download (120 MB)"
    for event in (BlobStarted(LARGE), sent(LARGE), BlobStarted(SMALL), sent(SMALL)):
        progress = fold(progress, event, 1.0)
    assert progress_line(progress, 1.0) == "all 120 MB downloaded, writing the manifests"
    assert progress_line(begin(0.0, download=True), 1.0) == "reading the image"


def test_time_before_the_plan_says_what_is_waited_for() -> None:
    assert progress_line(begin(0.0), 10.0) == "reading the image and asking the registry what it has"


@pytest.mark.parametrize(
    ("event", "members"),
    [
        (PLAN, {"event": "planned", "blobs": 3, "size": 150 * MB, "missing_blobs": 2, "missing_size": 120 * MB}),
        (BlobProgress(SMALL.digest, 7), {"event": "blob_progress", "digest": SMALL.digest, "offset": 7}),
        (
            sent(SMALL),
            {
                "event": "blob_finished",
                "status": "uploaded",
                "descriptor": {"mediaType": OCI_LAYER_GZIP, "digest": SMALL.digest, "size": 20 * MB},
            },
        ),
        (ManifestPushed(SMALL.digest, "v1"), {"event": "manifest_pushed", "digest": SMALL.digest, "tag": "v1"}),
        (
            Retrying("a", 2, 0.5, "\x1b", 3.0, 297.0),
            {
                "event": "retrying",
                "action": "a",
                "attempt": 2,
                "delay": 0.5,
                "reason": "\x1b",
                "failing": 3.0,
                "left": 297.0,
            },
        ),
    ],
)
def test_an_event_is_one_json_object(event: Event, members: dict[str, object]) -> None:
    line = encode(event, datetime(2026, 1, 31, 12, tzinfo=UTC))
    assert json.loads(line) == {"version": 1, "time": "2026-01-31T12:00:00Z", **members}
    assert line.isascii()
    assert b"\n" not in line
    assert b"\x1b" not in line


def drawn(progress: Progress, now: float, *, width: int = 100, rows: int = 20) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(picture(progress, now, title="app:v1", width=width, rows=rows))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_picture_has_a_bar_for_all_bytes_and_one_for_each_layer_on_its_way() -> None:
    progress = after(
        (0, PLAN), (0, BlobStarted(SMALL)), (0, BlobStarted(LARGE)), (10, BlobProgress(LARGE.digest, 30 * MB))
    )
    head, total, large, small = drawn(progress, 10.0)
    assert head == "app:v1  0 of 2 blobs  3.00 MB/s  0:30 left"
    assert total.startswith("total")
    assert total.endswith("30.0 MB of 120 MB")
    assert large.startswith(LARGE.digest.short)
    assert large.endswith("30.0 MB of 100 MB")
    assert small.startswith(SMALL.digest.short)


def test_the_picture_fits_the_terminal_and_counts_what_does_not() -> None:
    started = [(0.0, BlobStarted(layer(number, MB * number))) for number in range(1, 31)]
    progress = after((0, Planned(30, 465 * MB, 30, 465 * MB)), *started)
    for rows in (4, 9, 50):
        lines = drawn(progress, 1.0, width=60, rows=rows)
        assert len(lines) <= rows
        assert max(map(len, lines)) <= 60
    assert drawn(progress, 1.0, rows=9)[-1] == "and 24 more on the way"


def test_the_picture_says_when_nothing_arrives_and_when_only_manifests_are_left() -> None:
    waiting = after((0, PLAN), (0, BlobStarted(LARGE)), (0, Retrying("x", 1, 1.0, "y")))
    assert drawn(waiting, 40.0)[0] == "app:v1  0 of 2 blobs  nothing confirmed for 40 s  1 retry"
    done = after((0, Planned(1, 1, 0, 0)))
    assert drawn(done, 40.0)[0] == "app:v1  0 of 0 blobs  writing manifests"


def test_what_is_drawn_is_gone_at_the_end_and_notices_stay() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, height=24, color_system=None)
    renderer = TerminalRenderer("app:v1", console)
    progress = after((0, PLAN), (0, BlobStarted(LARGE)))
    renderer.tick(progress, 1.0)
    for _ in range(2):
        renderer.event(Notice("the journal is \x1b[5mlocked"), progress, 2.0)
    renderer.close()
    assert stream.getvalue().count("note: the journal is [5mlocked") == 1
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l"), "the cursor is hidden"
    assert stream.getvalue().endswith("\x1b[1A\x1b[2K" * 3), "the picture is not wiped"


async def test_observing_draws_by_its_own_timer_and_stops_it(capsys: pytest.CaptureFixture[str]) -> None:
    with observing("plain", "app:v1") as observer:
        observer(PLAN)
    assert "2 to send" in capsys.readouterr().err
    assert len(asyncio.all_tasks()) == 1


async def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with observing("none", "app:v1") as observer:
        observer(Notice("x"))
    assert capsys.readouterr() == ("", "")


def test_the_last_retry_is_a_line_that_wraps_at_words_until_something_moves() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=50, height=20, color_system=None)
    renderer = TerminalRenderer("app:v1", console)
    progress = after((0, PLAN), (0, BlobStarted(LARGE)))
    reason = "PATCH blob: the connection was lost; try again"
    for attempt in (1, 2):
        renderer.event(Retrying("PATCH blob", attempt, 0.5, reason), progress, 1.0)
    renderer.tick(progress, 1.0)
    shown = " ".join(screen.getvalue().split())
    assert "attempt 2 in" not in shown
    assert f"retry: {reason}; attempt 3 in 0.5 s" in shown
    screen.truncate(0)
    renderer.tick(fold(progress, BlobProgress(LARGE.digest, 10), 2.0), 2.0)
    assert "retry: " not in screen.getvalue()
    renderer.close()
