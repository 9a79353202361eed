"""References: what is read is what is meant, and comes out again as it went in."""

import contextlib
import random
import string
import time

import pytest

from transfer.errors import InvalidReference
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference

DIGEST = Digest("sha256:" + "a" * 64)
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (f"{ECR}/app:v1", Reference(ECR, "app", "v1")),
        (f"{ECR}/team/app", Reference(ECR, "team/app")),
        (f"{ECR}/team/app@{DIGEST}", Reference(ECR, "team/app", None, DIGEST)),
        (f"registry.example/app:v1@{DIGEST}", Reference("registry.example", "app", "v1", DIGEST)),
        ("localhost/app", Reference("localhost", "app")),
        ("localhost:5000/app", Reference("localhost:5000", "app")),
        ("127.0.0.1:5000/app:5000", Reference("127.0.0.1:5000", "app", "5000")),
        ("[::1]:5000/x", Reference("[::1]:5000", "x")),
        ("[2001:DB8::1]/x:Y", Reference("[2001:db8::1]", "x", "Y")),
        ("REGISTRY.Example:443/app:V1", Reference("registry.example:443", "app", "V1")),
        ("a.b:65535/x", Reference("a.b:65535", "x")),
        ("xn--exmple-cua.com/x", Reference("xn--exmple-cua.com", "x")),
        ("r.io/a.b_c__d-e---f/0", Reference("r.io", "a.b_c__d-e---f/0")),
        ("r.io/" + "a" * 255, Reference("r.io", "a" * 255)),
        ("r.io/a:" + "_" * 128, Reference("r.io", "a", "_" * 128)),
    ],
)
def test_a_reference_is_read_into_its_parts(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert parse_reference(str(reference)) == reference


BAD_REFERENCES = {
    "no host": ["", "/", "app", "app:v1", "team/app", "library/ubuntu:22.04", "/app", "app@" + DIGEST],
    "no repository": ["registry.example", "registry.example/", "registry.example/:v1", "registry.example/@" + DIGEST],
    "host": [
        *("http://r.io/app", "https://r.io/app", "oci:r.io/app", ".r.io/app", "r.io./app", "r..io/app", "r.-io/app"),
        *("-r.io/app", "r.io-/app", "r_x.io/app", "r.io\n/app", " r.io/app", "r.io /app", "r.io\t/app", "*.io/app"),
        *("user@r.io/app", "user:pw@r.io/app", f"{ECR}@evil.example/app", "r.io%2fevil/app", "r.io?x/app", "r.io#x/a"),
        *("r\u00e4.io/app", "\uff52.io/app", "r\u3002io/app", "\u0440egistry.example/app"),
        *("r.io\\evil/app", "r.io\0/app"),
    ],
    "port": [
        *("r.io:0/x", "r.io:00000/x", "r.io:65536/x", "r.io:99999/x", "r.io:/x", "r.io:-1/x", "r.io:1e3/x"),
        *("r.io:123456/x", "r.io:http/x", "r.io:80:80/x", "r.io:\u0661/x"),
    ],
    "IPv6": [
        *("[::1/x", "::1]/x", "::1/x", "[::1]x/x", "[::1]:0/x"),
        *("[]/x.y", "[fe80::1%25eth0]/x", "[::g]/x", "[[::1]]/x"),
    ],
    "repository": [
        *("r.io//x", "r.io/x/", "r.io/x//y", "r.io/../x", "r.io/x/..", "r.io/./x", "r.io/x/.", "r.io/.x", "r.io/x."),
        *("r.io/X", "r.io/App", "r.io/x_", "r.io/_x", "r.io/x___y", "r.io/x..y", "r.io/x._y", "r.io/-x", "r.io/x-"),
        *("r.io/x%2fy", "r.io/x%2e%2e", "r.io/x y", "r.io/x\n", "r.io/x\ny", "r.io/x\\y", "r.io/x?y", "r.io/x#y"),
        *("r.io/\u0430pp", "r.io/\u00e9", "r.io/x\0", "r.io/x\u200b", "r.io/" + "a" * 256, "r.io/" + "a/" * 150 + "a"),
    ],
    "tag": [
        *("r.io/x:", "r.io/x:v1\n", "r.io/x:\n", "r.io/x:v1\r\nHost: evil", "r.io/x:v 1", "r.io/x:.v1", "r.io/x:-v1"),
        *("r.io/x:v1:v2", "r.io/x:v1/y", "r.io/x:" + "a" * 129, "r.io/x:v\u0661", "r.io/x:v1%20", "r.io/x:v1\0"),
        *("r.io/x:\x1b[31mred", "r.io/x:v1+build", "r.io/x:v1@"),
    ],
    "digest": [
        *("r.io/x@", "r.io/x@sha256:abc", "r.io/x@sha256:../../x", "r.io/x@md5:" + "a" * 32, "r.io/x@v1"),
        *(f"r.io/x@{DIGEST}@{DIGEST}", f"r.io/x@{DIGEST}:v1", f"r.io/x@{DIGEST.upper()}", f"r.io/x@{DIGEST}\n"),
    ],
}


@pytest.mark.parametrize("text", [text for texts in BAD_REFERENCES.values() for text in texts])
def test_a_malformed_reference_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_reference(text)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "a." * 500_000 + "!/x",
        "r.io/" + "a-" * 500_000 + "!",
        "r.io/" + "a/" * 500_000 + "A",
        "r.io/x:" + "a" * 1_000_000,
    ],
    ids=["host", "repository", "path", "tag"],
)
def test_a_text_of_a_megabyte_is_refused_at_once(text: str) -> None:
    began = time.process_time()

    with pytest.raises(InvalidReference) as caught:
        parse_reference(text)

    assert time.process_time() - began < 2
    assert len(str(caught.value)) < 1000


def test_an_image_at_its_digest_has_no_tag() -> None:
    assert str(parse_reference("r.io/x:v1").at(DIGEST)) == f"r.io/x@{DIGEST}"


def some(rng: random.Random, alphabet: str, most: int) -> str:
    return "".join(rng.choices(alphabet, k=rng.randint(1, most)))


def some_reference(rng: random.Random) -> str:
    lower = string.ascii_lowercase + string.digits
    labels = [some(rng, lower, 9) for _ in range(10)]
    host = rng.choice(["localhost", ".".join(labels[:2]), f"[::{some(rng, '0123456789abcdef:', 20)}]"])
    port = rng.choice(["", f":{rng.randint(1, 65535)}"])
    repository = rng.choice([".", "_", "__", "-", "----", "/"]).join(labels[2 : rng.randint(3, 10)])
    tag = rng.choice(["", ":" + some(rng, string.ascii_letters + "_", 5) + some(rng, lower + "._-", 99)])
    digest = rng.choice(["", "@" + Digest.of(rng.randbytes(4), rng.choice(["sha256", "sha512"]))])
    return f"{host}{port}/{repository}{tag}{digest}"


@pytest.mark.parametrize("seed", range(10))
def test_a_reference_comes_out_as_it_went_in(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        text = some_reference(rng)

        assert str(parse_reference(text)) == text


@pytest.mark.parametrize("seed", range(10))
def test_a_spoiled_reference_is_refused_or_comes_out_as_it_went_in(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        text = some_reference(rng)
        at = rng.randrange(len(text) + 1)
        spoiled = text[:at] + rng.choice("/:@.-_ %\\\n\0A\u0430") + text[at + rng.randint(0, 1) :]
        host, slash, rest = spoiled.partition("/")
        with contextlib.suppress(InvalidReference):
            assert str(parse_reference(spoiled)) == host.lower() + slash + rest


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine@{DIGEST}"),
        (f"alpine:3@{DIGEST}", f"docker.io/library/alpine:3@{DIGEST}"),
        ("grafana/loki:3", "docker.io/grafana/loki:3"),
        ("a/b/c", "docker.io/a/b/c"),
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("docker.io/grafana/loki", "docker.io/grafana/loki"),
        ("index.docker.io/alpine:1", "docker.io/library/alpine:1"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("ghcr.io/a/b", "ghcr.io/a/b"),
        ("[::1]:5000/x", "[::1]:5000/x"),
    ],
)
def test_a_short_name_is_read_as_docker_reads_it(text: str, reference: str) -> None:
    assert str(parse_reference(text, short_names=True)) == reference


@pytest.mark.parametrize("text", ["docker.io/alpine:3", "index.docker.io/library/alpine:3", "Docker.io/alpine:3"])
def test_docker_hub_is_one_registry_in_every_spelling(text: str) -> None:
    assert str(parse_reference(text)) == "docker.io/library/alpine:3"


@pytest.mark.parametrize("text", ["", "/", ":v1", "@" + DIGEST, "Alpine", "a" * 64, "alpine:", "../x", "x\n", "a//b"])
def test_a_malformed_short_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_reference(text, short_names=True)


@pytest.mark.parametrize(
    ("text", "tag"),
    [("r.io/x", "latest"), ("r.io/x:v1", "v1"), (f"r.io/x@{DIGEST}", None), ("r.io/x:latest", "latest")],
)
def test_latest_stands_in_only_where_nothing_is_named(text: str, tag: str | None) -> None:
    assert parse_reference(text).or_latest().tag == tag
