"""Operations on layers that are there, and the token for the Docker endpoint."""

import re
from typing import Any

import pybase64

from transfer.errors import InvalidDigest
from transfer.model.digest import Digest
from transfer.server import tokens
from transfer.server.ecr import refusals
from transfer.server.ecr.requests import (
    DIGEST_PATTERN,
    BatchCheckLayerAvailability,
    GetAuthorizationToken,
    GetDownloadUrlForLayer,
)
from transfer.server.ecr.session import Session
from transfer.server.settings import Settings
from transfer.server.sigv4 import Key, sign_query
from transfer.server.store import blobs, images


def batch_check_layer_availability(session: Session, request: BatchCheckLayerAvailability) -> dict[str, Any]:
    """
    Return a well-formed digest that is absent is UNAVAILABLE, as the resolver that AWS wrote expects it.

    The media type is what a manifest of the repository calls the layer; before there is one, nobody has told it.
    """
    repository = session.repository(request)
    asked = dict.fromkeys(request.layer_digests)
    sizes = blobs.sizes(session.connection, repository.id, asked)
    types = blobs.media_types(session.connection, repository.id, sizes)
    layers, failures = [], []
    for digest in asked:
        if not digest:
            failures.append(_failure(digest, "MissingLayerDigest", "layer digest cannot be null or empty"))
        elif not re.fullmatch(DIGEST_PATTERN, digest):
            wanted = f"layer digest should satisfy the regex '{DIGEST_PATTERN}'"
            failures.append(_failure(digest, "InvalidLayerDigest", wanted))
        elif digest in sizes:
            media_type = {"mediaType": types[digest]} if digest in types else {}
            found = {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": sizes[digest]}
            layers.append(found | media_type)
        else:
            layers.append({"layerDigest": digest, "layerAvailability": "UNAVAILABLE"})
    return {"layers": layers, "failures": failures}


def get_download_url_for_layer(session: Session, request: GetDownloadUrlForLayer) -> dict[str, Any]:
    repository = session.repository(request)
    digest, account = request.layer_digest, session.settings.account
    if not blobs.sizes(session.connection, repository.id, [digest]):
        raise refusals.layer_not_found(digest, repository.name, account)
    if not images.naming(session.connection, repository.id, digest):
        raise refusals.layer_unassociated(digest, repository.name, account)
    path = layer_path(repository.name, Digest(digest))
    lifetime = int(session.settings.url_ttl)
    query = sign_query(path, session.host, url_key(session.settings), now=session.now, lifetime=lifetime)
    return {"downloadUrl": f"{session.url}{path}?{query}", "layerDigest": digest}


def get_authorization_token(session: Session, request: GetAuthorizationToken) -> dict[str, Any]:
    """Return one token for each registry; the names do not change its scope (service model)."""
    expires = session.now + session.settings.token_ttl
    password = tokens.make_password(session.settings.secret_key, expires)
    entry = {
        "authorizationToken": pybase64.b64encode(f"{tokens.USER}:{password}".encode()).decode(),
        "expiresAt": expires,
        "proxyEndpoint": session.url,
    }
    return {"authorizationData": [entry] * len(request.registry_ids or ("own",))}


def url_key(settings: Settings) -> Key:
    """Return the key that signs layer URLs. ECR's lead to S3."""
    return Key(settings.access_key, settings.secret_key, settings.region, "s3")


def layer_path(repository: str, digest: Digest) -> str:
    return f"/layers/{repository}/{digest.algorithm}/{digest.encoded}"


def find_layer(session: Session, name: str, digest: str) -> Digest | None:
    """Return the layer that a URL's path names, while its repository holds it."""
    try:
        repository, wanted = session.named(name, None), Digest(digest)
    except InvalidDigest:
        return None
    return wanted if blobs.sizes(session.connection, repository.id, [wanted]) else None


def _failure(digest: str, code: str, reason: str) -> dict[str, Any]:
    return {"layerDigest": digest, "failureCode": code, "failureReason": f"Invalid request parameters: {reason}"}
