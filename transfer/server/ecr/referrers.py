"""ListImageReferrers: what refers to an image. Does not know how referrers are pushed: as any other image."""

from itertools import islice
from typing import Any

from transfer.server.ecr.requests import ListImageReferrers, ReferrersFilter
from transfer.server.ecr.session import Session, cut
from transfer.server.referrers import descriptor
from transfer.server.store import images

_PAGE = 20  # service model: the default of this operation's maxResults


def list_image_referrers(session: Session, request: ListImageReferrers) -> dict[str, Any]:
    """The referrers of a digest, which need not be there itself, of the artifact types that are asked for."""
    repository, subject = session.repository(request), request.subject_id.image_digest
    wanted = request.filter or ReferrersFilter()
    scope = ("ListImageReferrers", repository.name, subject, wanted.artifact_status, *sorted(wanted.artifact_types))
    (after,) = session.start(scope, request.next_token, [""])
    if wanted.artifact_status not in ("ACTIVE", "ANY"):
        return {"referrers": []}
    size = request.max_results or _PAGE
    found = (
        descriptor(image.manifest, image.media_type, image.digest) | {"artifactStatus": "ACTIVE"}
        for image in images.referrers(session.connection, repository.id, subject, after)
    )
    chosen = (one for one in found if not wanted.artifact_types or one.get("artifactType") in wanted.artifact_types)
    entries, more = cut(list(islice(chosen, size + 1)), size)
    answer: dict[str, Any] = {"referrers": entries}
    return answer | ({"nextToken": session.next_token(scope, [entries[-1]["digest"]])} if more else {})
