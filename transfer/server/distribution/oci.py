"""The `oci` dialect: distribution-spec 1.1, and what CNCF Distribution does where that leaves it open."""

from aiohttp import web

from transfer.server.distribution import blobs, errors, lists, manifests, uploads
from transfer.server.distribution.context import Dialect, RequestContext
from transfer.server.store.blobs import StoredUpload


async def base(_ex: RequestContext) -> web.Response:
    """GET /v2/: this registry implements the specification."""
    return web.json_response({})


def last_byte(upload: StoredUpload) -> int:
    return max(upload.received - 1, 0)


def out_of_order(ex: RequestContext, upload: StoredUpload, first: int) -> errors.Refusal:
    """416 with where to go on, so that a client need not ask."""
    message = f"the chunk begins at byte {first}; {upload.received} bytes were received"
    return errors.upload_invalid(message, status=416, headers=uploads.headers(ex, upload))


OCI = Dialect(
    handlers={
        "GetBase": base,
        "GetManifest": manifests.get,
        "HeadManifest": manifests.get,
        "PutManifest": manifests.put,
        "DeleteManifest": manifests.delete,
        "DeleteTag": manifests.delete_tag,
        "GetBlob": blobs.get,
        "HeadBlob": blobs.head,
        "DeleteBlob": blobs.delete,
        "PostUpload": uploads.start,
        "PostBlob": uploads.post,
        "MountBlob": uploads.mount,
        "GetUpload": uploads.status,
        "PatchUpload": uploads.patch,
        "PutUpload": uploads.put,
        "DeleteUpload": uploads.cancel,
        "ListRepositories": lists.catalog,
        "ListTags": lists.tags,
        "ListReferrers": lists.referrers,
    },
    patch_status=202,
    absolute=False,  # right behind any proxy
    tells_upload_id=True,
    last_byte=last_byte,
    out_of_order=out_of_order,
)
