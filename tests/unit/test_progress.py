"""Events folded into numbers."""

import pytest

from transfer.events import BlobFinished, BlobProgress, BlobStarted, Event, ManifestPushed, Notice, Planned, Retrying
from transfer.model.descriptor import OCI_LAYER_GZIP, Descriptor
from transfer.model.digest import Digest
from transfer.progress import Progress, begin, fold

LARGE = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b"large"), size=1000)
SMALL = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b"small"), size=100)
OLD = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(b"old"), size=50)
PLAN = Planned(blobs=3, size=1150, missing_blobs=2, missing_size=1100)


def after(*timed: tuple[float, Event]) -> Progress:
    progress = begin(0.0)
    for now, event in timed:
        progress = fold(progress, event, now)
    return progress


def test_nothing_is_known_before_the_plan() -> None:
    progress = after((1, Notice("x")))
    assert (progress.total, progress.done, progress.rate(9.0), progress.time_left(9.0)) == (0, 0, None, None)


def test_bytes_count_as_they_go_out() -> None:
    progress = after((0, PLAN), (0, BlobStarted(LARGE)), (1, BlobProgress(LARGE.digest, 400)))
    assert (progress.total, progress.done, progress.remaining, progress.moved) == (1100, 400, 700, 400)


def test_resumed_bytes_are_done_but_were_not_moved_by_this_run() -> None:
    progress = after((0, PLAN), (0, BlobStarted(LARGE, 600)), (2, BlobProgress(LARGE.digest, 800)))
    assert (progress.done, progress.moved, progress.rate(2.0)) == (800, 200, 100.0)


def test_what_must_be_sent_again_is_taken_back() -> None:
    before = after((0, PLAN), (0, BlobStarted(LARGE)), (1, BlobProgress(LARGE.digest, 800)))
    over = fold(before, BlobProgress(LARGE.digest, 0), 2.0)
    again = fold(over, BlobProgress(LARGE.digest, 300), 3.0)
    assert (over.done, again.done) == (0, 300)
    assert (over.remaining, again.remaining) == (1100, 800)
    assert again.moved == 1100


def test_a_layer_that_is_started_anew_is_taken_back_too() -> None:
    progress = after(
        (0, PLAN), (0, BlobStarted(LARGE)), (1, BlobProgress(LARGE.digest, 800)), (2, BlobStarted(LARGE, 0))
    )
    assert (progress.done, progress.remaining) == (0, 1100)


def test_a_finished_blob_is_sent_in_full() -> None:
    progress = after((0, PLAN), (0, BlobFinished(OLD, "present")), (0, BlobStarted(SMALL)), (1, finished(SMALL)))
    assert (progress.present, progress.sent, progress.done, dict(progress.uploads)) == (1, 1, 100, {})


def finished(blob: Descriptor) -> BlobFinished:
    return BlobFinished(blob, "uploaded")


def test_blobs_that_were_present_in_the_plan_are_not_counted_as_sent() -> None:
    progress = after((0, PLAN), (0, BlobFinished(OLD, "present")))
    assert (progress.sent, progress.done) == (0, 0)


def test_a_missing_blob_that_somebody_else_uploads_is_done_without_raising_the_rate() -> None:
    progress = after((0, PLAN), (0, BlobFinished(OLD, "present")), (1, BlobFinished(LARGE, "present")))
    assert (progress.sent, progress.done, progress.moved) == (1, 1000, 0)


def test_a_second_plan_begins_the_count_anew() -> None:
    progress = after(
        (0, PLAN),
        (0, BlobFinished(OLD, "present")),
        (1, BlobStarted(SMALL)),
        (2, finished(SMALL)),
        (3, Retrying("PutImage", 1, 0.1, "x")),
        (4, Planned(blobs=3, size=1150, missing_blobs=1, missing_size=50)),
        (4, BlobStarted(OLD)),
        (5, finished(OLD)),
    )
    assert (progress.total, progress.done, progress.sent, progress.moved, progress.retries) == (50, 50, 1, 150, 1)


def test_the_rate_is_that_of_the_window_not_of_the_whole_run() -> None:
    slow = [(float(second), BlobProgress(LARGE.digest, second)) for second in range(1, 61)]
    fast = [(60.0 + second, BlobProgress(LARGE.digest, 60 + 10 * second)) for second in range(1, 41)]
    progress = after((0, PLAN), (0, BlobStarted(LARGE)), *slow, *fast)
    assert progress.rate(100.0) == pytest.approx(10.0)
    assert progress.time_left(100.0) == pytest.approx((1100 - 460) / 10)
    assert len(progress.samples) <= 33


def test_the_rate_falls_while_nothing_arrives() -> None:
    progress = after((0, PLAN), (0, BlobStarted(LARGE)), (1, BlobProgress(LARGE.digest, 500)))
    assert (progress.rate(1.0), progress.rate(10.0), progress.silence(10.0)) == (500.0, 50.0, 9.0)


def test_no_time_is_left_to_tell_while_nothing_arrives() -> None:
    progress = after((0, PLAN), (0, BlobStarted(LARGE)), (1, BlobProgress(LARGE.digest, 500)))
    assert progress.time_left(2.0) is not None
    assert progress.time_left(11.0) is None


def test_manifests_and_retries_are_counted() -> None:
    progress = after((0, ManifestPushed(LARGE.digest, None)), (1, Retrying("PutImage", 1, 0.2, "slow down")))
    assert (progress.manifests, progress.retries) == (1, 1)


def test_progress_of_a_blob_that_was_never_started_changes_nothing() -> None:
    progress = after((0, PLAN))
    assert fold(progress, BlobProgress(LARGE.digest, 5), 1.0) == progress
