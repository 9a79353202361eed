"""`skopeo sync`'s YAML, as its documentation shows it, and what of it cannot be taken over."""

from pathlib import Path

import pytest

from tests.support.documented import SKOPEO
from transfer.mirror.config.load import ConfigReport, check_config, load_config, write_own
from transfer.mirror.config.settings import MirrorConfig, MirrorRule, RegistryConfig
from transfer.mirror.select.filters import TagFilter, select

NO_HTTP = ":19: [quay.io].tls-verify: HTTP without TLS is used for loopback only; set 'plain_http' for other hosts"
DIGEST = "sha256:0000000000000000000000000000000011111111111111111111111111111111"


def read(folder: Path, text: str, *, target: str | None = "127.0.0.1:5000/repo/", scoped: bool = False) -> ConfigReport:
    file = folder / "sync.yml"
    file.write_text(text)
    file.chmod(0o644)
    return check_config(file, target=target, scoped=scoped)


def reported(report: ConfigReport) -> list[str]:
    return [report.describe(one).rpartition("sync.yml")[2] for one in (*report.mistakes, *report.warnings)]


def test_the_documentations_example_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    for name in ("ca.crt", "client.cert", "client.key", "readme"):
        (tmp_path / "certs" / name).touch()
    text = SKOPEO.replace("registry.example.com", "127.0.0.1:5001").replace("/home/john/certs", "certs")
    report = read(tmp_path, text)
    assert (report.format, reported(report)) == ("skopeo", [NO_HTTP])
    targets, source = ("127.0.0.1:5000/repo/{name}",), "127.0.0.1:5001"
    certs = tmp_path / "certs"
    assert report.require() == MirrorConfig(
        mappings=(
            MirrorRule(source=f"{source}/busybox", targets=targets),
            MirrorRule(source=f"{source}/redis", targets=targets, tags=(TagFilter(exact=("1.0", "2.0", DIGEST)),)),
            MirrorRule(
                source=f"{source}/nginx", targets=targets, tags=(TagFilter(regex=(r"1\.13\.[12]-alpine-perl",)),)
            ),
            MirrorRule(source=f"{source}/alpine", targets=targets, tags=(TagFilter(semver=(">= 3.12.0",)),)),
            MirrorRule(source="quay.io/coreos/etcd", targets=targets, tags=(TagFilter(exact=("latest",)),)),
        ),
        registries={
            source: RegistryConfig(
                username="john",
                password="this is a secret",
                ca=str(certs / "ca.crt"),
                cert=str(certs / "client.cert"),
                key=str(certs / "client.key"),
            ),
            "quay.io": RegistryConfig(tls_verify=False),
        },
    )


def test_what_is_converted_reads_as_the_same(tmp_path: Path) -> None:
    config = read(tmp_path, SKOPEO.replace("this is a secret", "a${b}")).require()
    (tmp_path / "ours.yaml").write_text(write_own(config))
    assert load_config(tmp_path / "ours.yaml", environment={}) == config


def test_scoped_images_keep_registry_and_path(tmp_path: Path) -> None:
    config = read(tmp_path, SKOPEO, target="docker://m.example", scoped=True).require()
    assert {mapping.targets for mapping in config.mappings} == {("m.example/{registry}/{repository}",)}


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ("^1$", ["1"]),
        ("1", ["1", "1.1", "21", "v1"]),
        ("^1", ["1", "1.1"]),
        ("1$|^3", ["1", "1.1", "21", "v1", "3.2"]),
        (r"^1\$", []),
    ],
)
def test_an_expression_may_fit_a_part_of_a_tag(tmp_path: Path, expression: str, taken: list[str]) -> None:
    config = read(tmp_path, f"m.example: {{images-by-tag-regex: {{app: '{expression}'}}}}").require()
    assert sorted(select(["1", "1.1", "21", "v1", "3.2"], config.mappings[0].tags).names) == sorted(taken)


def test_the_ways_to_choose_tags_of_one_repository_are_a_union(tmp_path: Path) -> None:
    text = "m.example: {images: {a: [x]}, images-by-semver: {a: 1.x}, images-by-tag-regex: {a: ^y$, b: ^z$}}"
    config = read(tmp_path, text).require()
    assert [(mapping.source, mapping.tags) for mapping in config.mappings] == [
        ("m.example/a", (TagFilter(exact=("x",)), TagFilter(regex=("y",)), TagFilter(semver=("1.x",)))),
        ("m.example/b", (TagFilter(regex=("z",)),)),
    ]


def test_what_cannot_be_taken_over_is_named(tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    for name in ("a.crt", "b.crt"):
        (tmp_path / "certs" / name).touch()
    text = """\
m.example:
  images: {app: ["not a tag"], Bad: []}
  images-by-semver:
    web: latest
  images-by-tag-regex:
    db: (
  credentials: {identitytoken: x}
  cert-dir: certs
  tls-verfy: true
n.example: {cert-dir: none}
"""
    report = read(tmp_path, text)
    assert [
        line.replace(str(tmp_path), "").partition(" (up")[0].partition(" (lower")[0] for line in reported(report)
    ] == [
        ":2: [m.example].images.app[0]: reference 'registry.example/repository:not a tag': 'not a tag' is not a tag",
        ":2: [m.example].images.Bad: reference 'm.example/Bad': 'Bad' is not a repository name",
        ":4: [m.example].images-by-semver.web: 'latest' is not a version, as in 1.2.3, v1.2 or 1.x",
        ":6: [m.example].images-by-tag-regex.db: '.*(?:().*' is not a regular expression: missing ) at position 9",
        ":7: [m.example].credentials.identitytoken: an identity token is not supported: use a password",
        ":8: [m.example].cert-dir: '/certs' has several *.crt: put them into one file",
        ":9: [m.example].tls-verfy: the key is unknown: did you mean 'tls-verify'?",
        ":10: [n.example].cert-dir: '/none': No such file or directory; the system's certificates count",
        ":10: [n.example]: no images are named",
    ]


def test_a_file_without_a_destination_is_told_where_to_say_it(tmp_path: Path) -> None:
    report = read(tmp_path, "m.example: {images: {app: [v1]}}", target=None)
    assert reported(report) == [": skopeo's format has no targets: name one with --dest HOST[/PATH]"]
    assert [report.config for report in [read(tmp_path, "m.example: {images: {app: [v1]}}", target="a b")]] == [None]
