"""The numbers of a watched mirror, as Prometheus reads them."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from transfer.errors import InvalidConfig
from transfer.mirror.run.report import ImageReport, MirrorReport, Status
from transfer.mirror.watcher.metrics import Metrics
from transfer.registry.oci.pull_rate_limit import RateLimitHeaders


def image(status: Status, **facts: object) -> ImageReport:
    return ImageReport(mapping="mappings[0]", source="a/b:1", target="c/d:1", status=status, **facts)  # type: ignore[arg-type]


def reported(metrics: Metrics) -> Mapping[str, float]:
    """Each sample by its name without the prefix, and its labels' values."""
    body, media_type = metrics.text("text/plain")
    assert media_type.startswith("text/plain")
    return {
        "/".join([sample.name.removeprefix("transfer_mirror_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_runs_and_images_are_counted_by_what_became_of_them() -> None:
    now = iter([1000.0, 2000.0, 3000.0])
    metrics = Metrics(now=lambda: next(now))
    images = (
        image("copied", uploaded=10, mounted=20, present=30, requests=5, retries=2, seconds=0.3),
        image("copied", uploaded=1, requests=4, seconds=40.0),
        image("unchanged"),
        image("failed", error="NotFound", seconds=9.0),
    )
    for one in images:
        metrics.image(one)
    metrics.run(MirrorReport(images=images[:3], seconds=60.0))
    metrics.run(MirrorReport(images=images, seconds=70.0))
    metrics.run(MirrorReport(images=images[:3], seconds=80.0, stopped=True))
    found = reported(metrics)
    expected = {
        "runs_total/ok": 1,
        "runs_total/failed": 1,
        "runs_total/stopped": 1,
        "images_total/copied": 2,
        "images_total/unchanged": 1,
        "images_total/failed": 1,
        "images_total/pruned": 0,
        "failures_total/NotFound": 1,
        "bytes_total/uploaded": 11,
        "bytes_total/mounted": 20,
        "bytes_total/present": 30,
        "requests_total": 9,
        "retries_total": 2,
        "image_seconds_count": 2,
        "image_seconds_sum": 40.3,
        "image_seconds_bucket/0.5": 1,
        "image_seconds_bucket/60.0": 2,
        "last_run_start_timestamp_seconds": 2920,
        "last_run_duration_seconds": 80,
        "last_success_timestamp_seconds": 1000,
    }
    assert {name: found[name] for name in expected} == expected


def test_mappings_are_counted_apart_and_one_that_cannot_be_looked_at_is_down() -> None:
    metrics = Metrics()
    for one in (image("copied", uploaded=10), image("failed", error="NotFound")):
        metrics.image(one)
    mistake = ImageReport(mapping="mappings[1]", source="a/x", target="c/x", status="failed", error="NotFound")
    quotas = {"docker.io": RateLimitHeaders(100, 37, 21600, 0.0)}
    metrics.run(MirrorReport(images=(image("copied"),), mistakes=(mistake,), pull_quotas=quotas))
    found = reported(metrics)
    expected = {
        "transfer_mapping_up/mappings[0]": 1,
        "transfer_mapping_up/mappings[1]": 0,
        "transfer_mapping_images_total/mappings[0]/copied/c": 1,
        "transfer_mapping_images_total/mappings[0]/failed/c": 1,
        "transfer_mapping_bytes_total/uploaded/mappings[0]/c": 10,
        "transfer_pull_quota_remaining/docker.io": 37,
        "transfer_pull_quota_limit/docker.io": 100,
    }
    assert {name: found[name] for name in expected} == expected
    metrics.run(MirrorReport(images=(image("copied"),)))
    assert reported(metrics)["transfer_mapping_up/mappings[0]"] == 1


def test_before_the_first_run_there_are_zeros() -> None:
    found = reported(Metrics())
    assert found["runs_total/ok"] == found["images_total/copied"] == found["last_success_timestamp_seconds"] == 0


def test_a_configuration_that_is_not_the_files_shows() -> None:
    metrics, seen = Metrics(), []
    for error in (None, InvalidConfig("bad"), None):
        metrics.reload(error)
        seen.append(reported(metrics)["config_valid"])
    assert seen == [1, 0, 1]


def test_two_watches_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.image(image("copied"))
    assert (reported(one)["images_total/copied"], reported(other)["images_total/copied"]) == (1, 0)


def test_openmetrics_is_spoken_to_whoever_asks_for_it() -> None:
    body, media_type = Metrics().text("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
