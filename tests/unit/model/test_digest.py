"""Digests: the grammar that keeps a path, a header or a wrong algorithm from passing for one."""

import hashlib
import pickle

import pytest

from transfer.errors import InvalidDigest
from transfer.model.digest import Digest, is_digest_tag

SHA256 = "sha256:" + hashlib.sha256(b"content").hexdigest()
SHA512 = "sha512:" + hashlib.sha512(b"content").hexdigest()


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_of_a_registered_algorithm_is_a_string_that_knows_its_parts(text: str) -> None:
    digest = Digest(text)

    assert digest == text
    assert f"{digest.algorithm}:{digest.encoded}" == text
    assert digest.encoded.startswith(digest.short)
    assert len(digest.short) == 12


@pytest.mark.parametrize(
    "text",
    [
        *("", "sha256", "sha256:", ":" + "a" * 64, "a" * 64),
        *("sha256:../../x", "sha256:/etc/passwd", "../sha256:" + "a" * 64, "sha256:" + "a" * 61 + "/.."),
        *("sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha512:" + "a" * 64, "sha256:" + "a" * 128),
        *("sha256:" + "A" * 64, "SHA256:" + "a" * 64, "sha256:" + "g" * 64, "sha256:" + "\uff11" * 64),
        *("md5:" + "a" * 32, "sha1:" + "a" * 40, "blake3:" + "a" * 64, "sha256+b64u:" + "a" * 64),
        *("sha256:" + "a" * 64 + "\n", "\n" + SHA256, " " + SHA256, SHA256 + "\0", SHA256 + "?x=1", SHA256 + "@"),
        "sha256:" + "\u0430" * 64,  # a Cyrillic letter that looks like an a
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest(text)

    assert str(caught.value).isprintable()
    assert isinstance(caught.value, ValueError)


def test_a_refusal_does_not_repeat_a_long_text() -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest("sha256:" + "a" * 1_000_000)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("algorithm", "expected"), [("sha256", SHA256), ("sha512", SHA512)])
def test_content_has_the_digest_that_hashlib_says(algorithm: str, expected: str) -> None:
    assert Digest.of(b"content", algorithm) == expected
    assert Digest.of(memoryview(b"content"), algorithm) == expected


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_hasher_tells_the_content_from_any_other(text: str) -> None:
    digest = Digest(text)
    same, other = digest.hasher(), digest.hasher()
    same.update(b"con")
    same.update(b"tent")
    other.update(b"contents")

    assert digest.matches(same)
    assert not digest.matches(other)


def test_a_digest_survives_pickling() -> None:
    copied = pickle.loads(pickle.dumps(Digest(SHA256)))

    assert copied == SHA256
    assert type(copied) is Digest


@pytest.mark.parametrize(
    ("text", "tag"), [(SHA256, SHA256.replace(":", "-")), (SHA512, SHA512.replace(":", "-")[: len("sha512-") + 64])]
)
def test_a_digest_stands_as_a_tag_that_is_one(text: str, tag: str) -> None:
    assert Digest(text).as_tag == tag
    assert is_digest_tag(tag)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("sha256-" + "a" * 64 + ".sig", True),
        ("sha256-" + "a" * 64 + ".some.thing", True),
        *(("sha256-" + "a" * 64 + end, False) for end in (".", "-sig", "a", "\n")),
        *((name, False) for name in ("v1", "", "sha256-abc.sig", "sha1-" + "a" * 64, "sha256:" + "a" * 64)),
    ],
)
def test_a_tag_that_belongs_to_a_digest_is_told_by_its_form(tag: str, expected: bool) -> None:
    assert is_digest_tag(tag) is expected
