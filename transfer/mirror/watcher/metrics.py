"""The numbers of a watched mirror, as Prometheus takes them: what its runs did, image by image, since it began."""

import time
from collections.abc import Callable
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from transfer.mirror.run.report import ImageReport, MirrorReport, Status

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The numbers of one watch; `now` tells the seconds of the epoch."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._registry = registry = CollectorRegistry()
        prefix: dict[str, Any] = {"namespace": "transfer", "subsystem": "mirror", "registry": registry}
        self._runs = Counter("runs", "Runs that ended: ok, failed in part, or stopped.", ["outcome"], **prefix)
        self._images = Counter("images", "Images at one target, by what became of them.", ["status"], **prefix)
        self._failures = Counter("failures", "Images and mappings that failed, by kind of error.", ["error"], **prefix)
        self._bytes = Counter("bytes", "Bytes of blobs, by how they came to be at the target.", ["how"], **prefix)
        self._requests = Counter("requests", "Requests that copying images took, at source and target.", **prefix)
        self._retries = Counter("retries", "Requests that were tried again.", **prefix)
        self._seconds = Histogram("image_seconds", "Time that a copy of an image took.", buckets=_SECONDS, **prefix)
        self._began = Gauge("last_run_start_timestamp_seconds", "When the last run that ended began.", **prefix)
        self._took = Gauge("last_run_duration_seconds", "How long the last run took.", **prefix)
        self._succeeded = Gauge("last_success_timestamp_seconds", "When a run last ended with no failure.", **prefix)
        self._config = Gauge("config_valid", "1 if the configuration in use is the file's, 0 if that is bad.", **prefix)
        self._config.set(1)
        own: dict[str, Any] = {"namespace": "transfer", "registry": registry}
        self._up = Gauge("mapping_up", "1 if the last run could look at all of the mapping.", ["mapping"], **own)
        labels = ["mapping", "target_registry"]
        self._mapping_images = Counter("mapping_images", "Images, by what became of them.", [*labels, "status"], **own)
        self._mapping_bytes = Counter("mapping_bytes", "Bytes of blobs, by how they came.", [*labels, "how"], **own)
        self._left = Gauge("pull_quota_remaining", "Pulls that a registry still allows.", ["registry"], **own)
        self._limit = Gauge("pull_quota_limit", "Pulls that it allows in a window.", ["registry"], **own)
        for outcome in ("ok", "failed", "stopped"):
            self._runs.labels(outcome)
        for status in get_args(Status):
            self._images.labels(status)

    def image(self, image: ImageReport) -> None:
        """Count what became of an image, or of a whole mapping."""
        self._images.labels(image.status).inc()
        if image.error is not None:
            self._failures.labels(image.error).inc()
        place = image.mapping, image.target.partition("/")[0]
        self._mapping_images.labels(*place, image.status).inc()
        for how in ("uploaded", "mounted", "present"):
            self._bytes.labels(how).inc(getattr(image, how))
            self._mapping_bytes.labels(*place, how).inc(getattr(image, how))
        self._requests.inc(image.requests)
        self._retries.inc(image.retries)
        if image.status == "copied":
            self._seconds.observe(image.seconds)

    def run(self, report: MirrorReport) -> None:
        """Count a run that has just ended; its images were counted when they ended."""
        now = self._now()
        self._began.set(now - report.seconds)
        self._took.set(report.seconds)
        outcome = "failed" if report.failed else "stopped" if report.stopped else "ok"
        self._runs.labels(outcome).inc()
        if outcome == "ok":
            self._succeeded.set(now)
        down = {one.mapping for one in report.mistakes}
        for mapping in {one.mapping for one in report.images} | down:
            self._up.labels(mapping).set(mapping not in down)
        for registry, quota in report.pull_quotas.items():
            self._left.labels(registry).set(quota.remaining)
            self._limit.labels(registry).set(quota.limit)

    def reload(self, error: Exception | None) -> None:
        """The configuration was read again, or could not be."""
        self._config.set(error is None)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return all numbers, in the format that an Accept header prefers, and that format's media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type
