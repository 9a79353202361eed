"""What a mirror shows while it works: events folded into numbers, and these as lines, JSON and a picture."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from transfer.cli.display.choose import observing_mirror
from transfer.cli.display.mirror.json_lines import MirrorJson
from transfer.cli.display.mirror.lines import MirrorLines, mirror_line
from transfer.cli.display.mirror.progress import MirrorProgress, begin_mirror, fold_mirror
from transfer.cli.display.mirror.terminal import MirrorTerminal, mirror_picture
from transfer.events import At, BlobFinished, BlobProgress, BlobStarted, Event, Notice, Planned, Retrying
from transfer.mirror.run.events import (
    ImageMoved,
    ImagesFound,
    ImageStarted,
    ImageStopped,
    MirrorEvent,
    RunStopping,
)
from transfer.mirror.run.report import ImageReport, Status
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest

MB = 10**6
SNAPSHOTS = Path(__file__).with_name("snapshots")
LAYER = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b"layer"), size=80 * MB)
PLAN = Planned(blobs=3, size=120 * MB, missing_blobs=2, missing_size=100 * MB)


def started(number: int, *targets: str) -> ImageStarted:
    names = targets or (f"registry.example/mirror/team/app{number}:v1.{number}",)
    return ImageStarted(number, f"source.example/team/app{number}:v1.{number}", names)


def ended(status: Status, **facts: Any) -> ImageReport:
    name = "app:v1"
    return ImageReport(
        mapping="mappings[0]", source=f"a.example/{name}", target=f"b.example/{name}", status=status, **facts
    )


def moved(number: int, *events: Event) -> list[ImageMoved]:
    return [ImageMoved(number, event) for event in events]


def after(*steps: tuple[float, MirrorEvent]) -> MirrorProgress:
    state = begin_mirror(0.0)
    for now, event in steps:
        state = fold_mirror(state, event, now)
    return state


def busy() -> MirrorProgress:
    """One image of each kind."""
    steps: list[tuple[float, MirrorEvent]] = [(0, ImagesFound(40)), *((1, ended("unchanged")) for _ in range(20))]
    steps += [(1, ended("failed")), (1, started(0)), (1, started(1)), (1, started(2)), (1, started(3)), (1, started(4))]
    steps += [(1, event) for event in moved(0, PLAN, BlobStarted(LAYER))]
    steps += [(11, event) for event in moved(0, BlobProgress(LAYER.digest, 50 * MB))]
    steps += [(11, event) for event in moved(1, PLAN, BlobStarted(LAYER), Retrying("PATCH", 2, 7.0, "reset"))]
    steps += [(11, event) for event in moved(2, PLAN)]
    steps += [(11, event) for event in moved(3, Planned(1, 5, 0, 0))]
    return after(*steps)


def test_images_and_bytes_are_counted() -> None:
    state = busy()
    assert (state.found, state.finished, dict(state.ended)) == (40, 21, {"unchanged": 20, "failed": 1})
    assert (state.total, state.done, state.moved) == (300 * MB, 50 * MB, 50 * MB)
    assert state.rate(11.0) == pytest.approx(50 * MB / 11)


def test_the_time_left_counts_images_that_were_not_begun() -> None:
    state = busy()
    rate = state.rate(11.0)
    # 250 MB of those in work; 14 wait, and those begun have 60 MB each on average.
    assert rate is not None
    assert state.time_left(11.0) == pytest.approx((250 * MB + 14 * 60 * MB) / rate)
    assert state.time_left(60.0) is None


def test_an_image_that_ended_counts_as_moved_whatever_became_of_it() -> None:
    state = fold_mirror(busy(), ImageStopped(0), 12.0)
    assert (state.total, state.done, state.moved, len(state.work)) == (300 * MB, 100 * MB, 50 * MB, 4)


def test_events_of_several_targets_are_summed_and_strange_ones_ignored() -> None:
    steps: list[tuple[float, MirrorEvent]] = [(0, ImagesFound(2)), (0, started(0, "a/x", "b/x"))]
    for target in ("a/x", "b/x"):
        steps += [(1, ImageMoved(0, At(target, event))) for event in (PLAN, BlobStarted(LAYER))]
        steps += [(2, ImageMoved(0, At(target, BlobProgress(LAYER.digest, 10 * MB))))]
    state = after(*steps, (2, ImageMoved(7, PLAN)), (2, ImageStopped(7)))
    assert (state.total, state.done, state.moved) == (200 * MB, 20 * MB, 20 * MB)


def test_a_line_tells_all_of_it() -> None:
    assert mirror_line(begin_mirror(0.0), 1.0) == "looking what there is"
    assert mirror_line(after((0, ImagesFound(3)), (0, ended("unchanged"))), 1.0) == (
        "1 of 3 images, 1 unchanged, 0 in work"
    )
    assert mirror_line(busy(), 11.0) == (
        "21 of 40 images, 20 unchanged, 1 failed, 5 in work, 50.0 MB of 300 MB, 4.55 MB/s, 4:00 left"
    )


def test_a_log_has_a_line_for_each_image_and_one_every_ten_seconds_while_something_moves() -> None:
    written: list[str] = []
    lines, state = MirrorLines(written.append), busy()
    for event in (ended("unchanged"), ended("copied", uploaded=5 * MB), ended("failed", message="no"), RunStopping(30)):
        lines.event(event, state, 11.0)
    for now in (12.0, 22.0, 41.0, 50.0, 72.0):
        lines.tick(state, now)
    assert written[:3] == [
        "copied: a.example/app:v1 -> b.example/app:v1, 5.00 MB sent",
        "failed: a.example/app:v1 -> b.example/app:v1: no (mappings[0])",
        "stopping: what is in work has 30 s to end",
    ]
    assert [line.rpartition("; ")[2] for line in written[4:]] == ["nothing moved for 30 s", "nothing moved for 61 s"]


def test_programs_get_an_object_for_each_event() -> None:
    written: list[str] = []
    lines = MirrorJson(written.append, lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))
    state = begin_mirror(0.0)
    events: list[MirrorEvent] = [ImagesFound(1), started(0), *moved(0, At("b", PLAN)), ended("copied"), ImageStopped(0)]
    for event in (*events, RunStopping(9)):
        state = fold_mirror(state, event, 1.0)
        lines.event(event, state, 1.0)
    documents = [json.loads(line) for line in written]
    assert [one["event"] for one in documents] == [
        "images_found",
        "image_started",
        "planned",
        "image_ended",
        "stopping",
    ]
    assert {one["version"] for one in documents} == {1}
    assert (documents[2]["target"], documents[2]["source"]) == ("b", "source.example/team/app0:v1.0")
    assert (documents[3]["status"], documents[3]["error"]) == ("copied", None)


def drawn(state: MirrorProgress, now: float, *, width: int, height: int = 24) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=height, color_system=None)
    console.print(mirror_picture(state, now, width=width, rows=height - 1))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 100, 160, 200])
def test_the_picture_fits_the_terminal(width: int) -> None:
    picture = drawn(busy(), 11.0, width=width)
    assert max(map(len, picture.splitlines())) <= width
    file = SNAPSHOTS / f"mirror-{width}.txt"
    assert picture == file.read_text(encoding="utf-8"), f"look at it, and write it to {file}"


@pytest.mark.parametrize(("height", "shown"), [(24, 16), (8, 4), (4, 0)])
def test_images_that_do_not_fit_are_counted(height: int, shown: int) -> None:
    state = after((0, ImagesFound(60)), *((0, started(number)) for number in range(40)))
    lines = drawn(state, 1.0, width=100, height=height).splitlines()
    assert lines[-1] == f"and {40 - shown} more in work"
    assert len(lines) <= height - 1


def test_what_an_image_waits_for_is_said() -> None:
    events: dict[str, list[Event]] = {
        "looking": [],
        "tries again in 7 s": [PLAN, BlobStarted(LAYER), Retrying("PATCH", 2, 7.0, "reset")],
        "limited, next in 3 s": [PLAN, Retrying("PutImage", 1, 3.0, "PutImage: Rate exceeded")],
        "waits for the pull quota": [Notice("docker.io: waiting for pulls: 0 of 100 are left")],
        "waits for a shared layer": [PLAN],
        "writing manifests": [Planned(1, 1, 1, LAYER.size), BlobStarted(LAYER), BlobFinished(LAYER, "uploaded")],
    }
    for expected, one in events.items():
        state = after((0, ImagesFound(1)), (0, started(0)), *((1.0, event) for event in moved(0, *one)))
        assert expected in drawn(state, 1.2, width=160), expected


def test_what_ended_stays_and_the_picture_goes() -> None:
    stream = io.StringIO()
    renderer = MirrorTerminal(Console(file=stream, force_terminal=True, width=100, height=24, color_system=None))
    state = busy()
    renderer.tick(state, 11.0)
    renderer.event(ended("failed", message="gone \x1b[5m"), state, 11.0)
    renderer.event(ended("unchanged"), state, 11.0)
    renderer.close()
    assert stream.getvalue().count("failed: a.example/app:v1 -> b.example/app:v1: gone [5m (mappings[0])") == 1
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l"), "the cursor is hidden"


async def test_a_quiet_mirror_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with observing_mirror("none") as observer:
        for event in (ImagesFound(2), started(0), ended("copied"), ended("failed", message="no")):
            observer(event)
    assert capsys.readouterr().err == "failed: a.example/app:v1 -> b.example/app:v1: no (mappings[0])\n"
