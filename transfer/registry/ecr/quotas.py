"""
What an account may ask of ECR in a region, in requests a second, by the API and by the Docker endpoint.

Source: "Amazon ECR service quotas", which publishes eight rates; those of the other operations are not known, and what
of them is throttled narrows their window. Does not know how a rate is kept.
"""

from collections.abc import Mapping

QUOTAS: Mapping[str, float] = {
    "BatchCheckLayerAvailability": 1000,
    "BatchGetImage": 2000,
    "CompleteLayerUpload": 100,
    "GetAuthorizationToken": 500,
    "GetDownloadUrlForLayer": 3000,
    "InitiateLayerUpload": 100,
    "PutImage": 10,
    "UploadLayerPart": 500,
}

# The Docker endpoint is a proxy over the same operations (service model: "used by the Amazon ECR proxy").
DOCKER_QUOTAS: Mapping[str, float] = {
    "GET blob": QUOTAS["GetDownloadUrlForLayer"],
    "GET manifest": QUOTAS["BatchGetImage"],
    "HEAD blob": QUOTAS["BatchCheckLayerAvailability"],
    "HEAD manifest": QUOTAS["BatchGetImage"],
    "PATCH upload": QUOTAS["UploadLayerPart"],
    "POST upload": QUOTAS["InitiateLayerUpload"],
    "PUT manifest": QUOTAS["PutImage"],
    "PUT upload": QUOTAS["CompleteLayerUpload"],
}


def quota_seconds(requests: Mapping[str, int]) -> float:
    """How long the quotas of the API alone make so many requests of one registry, by operation, take."""
    return max((count / QUOTAS[name] for name, count in requests.items() if name in QUOTAS), default=0.0)
