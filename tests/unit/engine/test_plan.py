"""What must be asked and pushed, and the order in which workers take blobs."""

import json

import pytest

from transfer.engine.graph import read_graph
from transfer.engine.plan import SMALL_BLOB_BYTES, Queue, plan
from transfer.engine.protocols import Presence
from transfer.model.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from transfer.model.digest import Digest
from transfer.testing.memory import MemorySource

LARGE = SMALL_BLOB_BYTES + 1


def blobs(*sizes: int) -> list[Descriptor]:
    return [
        Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest.of(f"{number}".encode()), size=size)
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "large_in_work", "workers", "expected"),
    [
        pytest.param([], 0, 4, None, id="nothing left"),
        pytest.param([LARGE, LARGE * 2, 10], 0, 4, LARGE * 2, id="the largest first"),
        pytest.param([LARGE, 10, 20], 3, 4, 20, id="the last worker is kept for small ones"),
        pytest.param([LARGE, LARGE * 2], 3, 4, LARGE * 2, id="unless there are none"),
        pytest.param([10, 20], 0, 4, 20, id="small ones use every worker"),
        pytest.param([LARGE, 10], 0, 1, LARGE, id="one worker takes all in order"),
    ],
)
def test_which_blob_the_next_worker_takes(
    sizes: list[int], large_in_work: int, workers: int, expected: int | None
) -> None:
    taken = Queue(blobs(*sizes)).take(large_in_work=large_in_work, workers=workers)
    assert (taken.size if taken else None) == expected


@pytest.mark.parametrize(
    ("include", "there", "tagged", "done", "asked"),
    [
        (False, False, False, False, ["config"]),
        (True, False, False, False, ["config", "foreign"]),
        (False, True, True, True, []),
        (True, True, True, False, ["foreign"]),
        (True, True, False, False, ["foreign"]),
    ],
)
async def test_a_manifest_that_is_there_does_not_vouch_for_foreign_layers(
    include: bool, there: bool, tagged: bool, done: bool, asked: list[str]
) -> None:
    source = MemorySource()
    config = source.add_blob(b"{}", OCI_CONFIG)
    foreign = Descriptor(
        media_type="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digest=Digest.of(b"foreign"), size=7
    )
    named = [{"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in (config, foreign)]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named[0], "layers": [named[1], named[1]]}
    root = source.add_manifest(json.dumps(document).encode())
    graph = await read_graph(source, root, include_foreign=include)
    presence = Presence(root.digest if tagged else None, frozenset({root.digest} if there else ()))

    todo = plan(graph, presence, "v1")

    names = {config.digest: "config", foreign.digest: "foreign"}
    assert (not todo.absent and not todo.asked) is done
    assert [names[blob.digest] for blob in todo.asked] == asked
    assert [names[blob.digest] for blob in graph.blobs()] == (["config", "foreign"] if include else ["config"])
