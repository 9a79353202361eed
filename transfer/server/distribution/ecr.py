"""
The `ecr` dialect: the Docker endpoint of ECR, which is a proxy over its JSON API, with what clients trip over.

Sources are the threads that quote it, named beside each quirk. Where nothing is known, the answer is the one that
asks the most of a client: an upload cannot be asked for its status or take a blob in its POST, a blob cannot be
deleted.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aiohttp import web

from transfer.model.digest import Digest
from transfer.model.document import DocumentError, load
from transfer.server.distribution import blobs, errors, lists, manifests, uploads
from transfer.server.distribution.context import Dialect, RequestContext, existing, writable
from transfer.server.distribution.documents import read_pushed
from transfer.server.distribution.errors import Refusal
from transfer.server.distribution.oci import OCI
from transfer.server.ecr import refusals
from transfer.server.ecr.images import put_image
from transfer.server.ecr.layers import get_download_url_for_layer
from transfer.server.ecr.reading import batch_delete_image
from transfer.server.ecr.requests import BatchDeleteImage, GetDownloadUrlForLayer, ImageId, PutImage
from transfer.server.ecr.session import Session
from transfer.server.errors import ApiError, invalid_parameter
from transfer.server.store import images, repositories
from transfer.server.store.blobs import StoredUpload

_EXPIRED = "Your authorization token has expired. Reauthenticate and try again."
_LOOPBACK = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
_TAGS_PAGE, _MOST_TAGS = 100, 1000

# What the JSON API's exceptions become. Statuses without a thread that shows them: both NotFound ones.
_MAPPED = {
    "ImageDigestDoesNotMatchException": (400, "MANIFEST_INVALID"),  # google/go-containerregistry#1568
    "ImageTagAlreadyExistsException": (400, "TAG_INVALID"),  # osscontainertools/kaniko#204
    "InvalidParameterException": (405, "UNSUPPORTED"),  # oras-project/oras#690
    "LayerInaccessibleException": (404, "BLOB_UNKNOWN"),
    "LayersNotFoundException": (404, "BLOB_UPLOAD_UNKNOWN"),  # mapbox/ecs-conex#50
    "ReferencedImagesNotFoundException": (404, "MANIFEST_BLOB_UNKNOWN"),  # int128/docker-manifest-create-action#63
}


async def put_manifest(ex: RequestContext) -> web.Response:
    """Put a manifest by PutImage; one that exists is a success here (aws/containers-roadmap#2380)."""
    tag, digest = manifests.reference(ex)
    raw = await manifests.read_body(ex)
    if _dislikes(raw):
        raise _mapped(invalid_parameter("ImageManifest", "Invalid JSON syntax"))
    content_type = (ex.request.headers.get("Content-Type") or "").partition(";")[0].strip()
    request = PutImage(
        repository_name=ex.name,
        image_manifest=raw.decode(),
        image_manifest_media_type=content_type or None,
        image_tag=tag,
        image_digest=digest,
    )

    def work(session: Session) -> None:
        writable(session, ex.name)
        try:
            put_image(session, request)
        except ApiError as error:
            if error.code != "ImageAlreadyExistsException":
                raise _mapped(error) from None

    await ex.run(work)
    return manifests.stored(ex, digest or Digest.of(raw), read_pushed(raw, content_type).subject, [])


async def get_manifest(ex: RequestContext) -> web.Response:
    """Without a digest header, which HEAD has (aws/containers-roadmap#1931)."""
    response = await manifests.get(ex)
    if ex.request.method == "GET":
        del response.headers["Docker-Content-Digest"]
    return response


async def delete_manifest(ex: RequestContext) -> web.Response:
    """Delete by BatchDeleteImage, by tag too: an image is deleted with its last tag."""
    tag, digest = manifests.reference(ex)
    item = ImageId(image_digest=str(digest)) if digest else ImageId(image_tag=tag)
    request = BatchDeleteImage(repository_name=ex.name, image_ids=(item,))

    def work(session: Session) -> dict[str, Any]:
        existing(session, ex.name)
        return batch_delete_image(session, request)

    for failure in (await ex.run(work))["failures"]:
        if failure["failureCode"] == "ImageNotFound":
            raise errors.manifest_unknown(ex.route.about)
        raise errors.denied(failure["failureReason"])
    return web.Response(status=202)


async def get_blob(ex: RequestContext) -> web.StreamResponse:
    """
    307 to the signed URL (open-policy-agent/opa#6580); only what an image names has one, as in the JSON API.

    S3 is another host, so clients leave their credentials behind, or should. Here that is the other name of the
    loopback address; reached by a name that has no such other, this registry sends the content itself.
    """
    digest, _ = await blobs.find(ex)
    request = GetDownloadUrlForLayer(repository_name=ex.name, layer_digest=digest)
    host = elsewhere(ex.request.host)

    def work(session: Session) -> str:
        try:
            return str(get_download_url_for_layer(replace(session, host=host or session.host), request)["downloadUrl"])
        except ApiError as error:
            raise _mapped(error) from None

    url = await ex.run(work)
    return await blobs.get(ex) if host is None else web.Response(status=307, headers={"Location": url})


def elsewhere(host: str) -> str | None:
    """Return the same server at another name, where there is one."""
    name, colon, port = host.partition(":")
    other = _LOOPBACK.get(name)
    return None if other is None else f"{other}{colon}{port}"


async def delete_blob(_ex: RequestContext) -> web.Response:
    raise errors.unsupported("The operation is unsupported.")


async def mount(ex: RequestContext) -> web.Response:
    """
    Mounts only where the account has it enabled, and only what an image of the named source names; else 202.

    Source: AWS, "Blob mounting in Amazon ECR"; aws/containers-roadmap#2860; clowdhaus/ocync.
    """
    digest, source = ex.digest(ex.request.query["mount"]), ex.request.query.get("from")

    def named(session: Session) -> bool:
        found = repositories.find(session.connection, source or "")
        return found is not None and bool(images.naming(session.connection, found.id, digest))

    if ex.registry.settings.blob_mounting and await ex.run(named):
        return await uploads.mount(ex)
    return await uploads.begun(ex, digest.algorithm)


async def start_upload(ex: RequestContext) -> web.Response:
    return await uploads.begun(ex, "sha256")


async def put_upload(ex: RequestContext) -> web.Response:
    """
    Return the end of an upload, with CompleteLayerUpload's rules.

    Chunks below 5 MiB are found out only here (dotnet/sdk-container-builds#424). A blob of no bytes is answered with
    success and is not there (oras-project/oras-py#54).
    """
    digest = uploads.wanted(ex)
    upload = await uploads.receive(ex, await uploads.find(ex))
    store = ex.registry.upload_store
    async with store.lock(upload.id):
        current = await uploads.unchanged(ex, upload)
        if current.undersized:
            raise errors.upload_invalid(refusals.layer_part_too_small().message)
        if await store.digest(current, digest.algorithm) != digest:
            raise errors.upload_invalid(refusals.layer_mismatch().message)
        if current.received:
            await store.keep(current, digest)
        else:
            await store.cancel(current)
    return uploads.created(ex, digest)


async def upload_status(_ex: RequestContext) -> web.Response:
    raise errors.upload_unknown()


async def list_tags(ex: RequestContext) -> web.Response:
    """Pages of 100 whose `last` is a token (deitch/docker_registry2#34); above 1000, go-containerregistry#681."""
    count = lists.page_size(ex.request.query.get("n"), _TAGS_PAGE)
    if not 1 <= count <= _MOST_TAGS:
        bound = "greater than or equal to 1" if count < 1 else f"less than or equal to {_MOST_TAGS}"
        raise _mapped(invalid_parameter("maxResults", f"Member must have value {bound}"))
    scope, token = ("ListTags", ex.name), ex.request.query.get("last")

    def work(session: Session) -> tuple[list[str], str | None]:
        repository = existing(session, ex.name)
        try:
            (after,) = session.start(scope, token, [""])
        except ApiError as error:
            raise _mapped(error) from None
        found = images.tag_names(session.connection, repository.id, after, count + 1)
        return found[:count], session.next_token(scope, [found[count - 1]]) if len(found) > count else None

    names, following = await ex.run(work)
    answer = web.json_response({"name": ex.name, "tags": names}, content_type="text/plain")
    if following is not None:
        answer.headers["Link"] = lists.link(ex, "tags/list", last=following, n=count)
    return answer


async def referrers(ex: RequestContext) -> web.Response:
    await ex.run(lambda session: existing(session, ex.name))
    return await lists.referrers(ex)


def stale_last_byte(upload: StoredUpload) -> int:
    """Return the end of the first chunk, whatever came after it (aws/containers-roadmap#2831)."""
    return max(upload.first_size - 1, 0)


def out_of_order(_ex: RequestContext, upload: StoredUpload, first: int) -> Refusal:
    """Worded as apple/containerization#790 saw it; where to go on is not told."""
    message = f"First byte of the layer part is {first} instead of {upload.received}"
    return errors.upload_invalid(message, status=416)


def expired() -> Refusal:
    """No challenge: a client that renews on 401 alone never does (flipt-io/flipt#3043)."""
    return errors.denied(_EXPIRED)


def _mapped(error: ApiError) -> Refusal:
    status, code = _MAPPED[error.code]
    return Refusal(status, code, error.message)


def _dislikes(raw: bytes) -> bool:
    """
    Return whether ECR calls a manifest "Invalid JSON syntax" that OCI allows.

    Seen: a `;` in a type (aws/containers-roadmap#2306), descriptors with `data`, config annotations,
    `platform.features` (aws/containers-roadmap#2439).
    """
    try:
        members = load(raw)
    except DocumentError:
        return True
    if isinstance(config := members.get("config"), dict) and "annotations" in config:
        return True
    return ";" in str(members.get("artifactType", "")) or any(map(_dislikes_entry, _entries(members)))


def _entries(members: dict[str, Any]) -> Iterator[dict[str, Any]]:
    listed = [members.get("config"), members.get("subject")]
    for name in ("layers", "manifests"):
        found = members.get(name)
        listed += found if isinstance(found, list) else []
    return (entry for entry in listed if isinstance(entry, dict))


def _dislikes_entry(entry: dict[str, Any]) -> bool:
    platform = entry.get("platform")
    has_features = isinstance(platform, dict) and "features" in platform
    return "data" in entry or ";" in str(entry.get("mediaType", "")) or has_features


ECR = Dialect(
    handlers={
        **OCI.handlers,
        "GetManifest": get_manifest,
        "HeadManifest": get_manifest,
        "PutManifest": put_manifest,
        "DeleteManifest": delete_manifest,
        "DeleteTag": delete_manifest,
        "GetBlob": get_blob,
        "DeleteBlob": delete_blob,
        "PostUpload": start_upload,
        "PostBlob": start_upload,
        "MountBlob": mount,
        "GetUpload": upload_status,
        "PutUpload": put_upload,
        "ListTags": list_tags,
        "ListReferrers": referrers,
    },
    patch_status=201,  # regclient/regclient#81
    absolute=True,
    tells_upload_id=False,  # distribution/distribution#2927
    last_byte=stale_last_byte,
    out_of_order=out_of_order,
    expired=expired,
    messages={
        "MANIFEST_UNKNOWN": "Requested image not found",
        "NAME_UNKNOWN": "The repository with name '{name}' does not exist in the registry with id '{account}'",
    },
)
