"""
Throttling: how many requests of an operation are served in a second, and which are refused.

Sources: ECR service quotas (rates a second, for an account in a region); the user guide, by which they are token
buckets; the service model, by which the Docker endpoint is a proxy over the same operations.
"""

import time
from collections.abc import Callable, Mapping

from transfer.errors import InvalidConfig

# All that AWS publishes: the other operations have quotas of which only the refusals are seen.
ECR_QUOTAS: Mapping[str, float] = {
    "BatchCheckLayerAvailability": 1000,
    "BatchGetImage": 2000,
    "CompleteLayerUpload": 100,
    "GetAuthorizationToken": 500,
    "GetDownloadUrlForLayer": 3000,
    "InitiateLayerUpload": 100,
    "PutImage": 10,
    "UploadLayerPart": 500,
}

# What a request to `/v2/` counts as.
_COUNTS_AS = {
    "DeleteManifest": "BatchDeleteImage",
    "DeleteTag": "BatchDeleteImage",
    "GetBlob": "GetDownloadUrlForLayer",
    "GetManifest": "BatchGetImage",
    "HeadBlob": "BatchCheckLayerAvailability",
    "HeadManifest": "BatchGetImage",
    "ListReferrers": "ListImageReferrers",
    "ListRepositories": "DescribeRepositories",
    "ListTags": "ListImages",
    "MountBlob": "InitiateLayerUpload",
    "PatchUpload": "UploadLayerPart",
    "PostBlob": "InitiateLayerUpload",
    "PostUpload": "InitiateLayerUpload",
    "PutManifest": "PutImage",
    "PutUpload": "CompleteLayerUpload",
}


class Bucket:
    """`rate` tokens a second, of which one second's worth is kept, and never less than one. Pure."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take a token at this time, in seconds; whether there was one."""
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._filled_at) * self._rate)
        self._filled_at = max(now, self._filled_at)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Throttle:
    """
    The buckets of one registry.

    Args:
        rates: requests a second, by the API's name of the operation; what is not named is never refused.
        known: the names that there are.

    Raises:
        InvalidConfig: an operation that there is not, or a rate that is not more than 0.
    """

    def __init__(
        self, rates: Mapping[str, float], known: Mapping[str, object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        for operation, rate in rates.items():
            if operation not in known:
                raise InvalidConfig(f"throttle {operation}: not an operation; there are {', '.join(sorted(known))}")
            if not 0 < rate < float("inf"):
                raise InvalidConfig(f"throttle {operation}: {rate:g} a second; expected more than 0")
        self._clock = clock
        self._buckets = {operation: Bucket(rate, clock()) for operation, rate in rates.items()}

    def admits(self, operation: str) -> bool:
        """Return whether a request, by its name in the API or of `/v2/`, is served now; it is counted if so."""
        bucket = self._buckets.get(_COUNTS_AS.get(operation, operation))
        return bucket is None or bucket.take(self._clock())
