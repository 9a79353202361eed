"""What sources mean, what targets are called, and which template cannot be."""

import pytest

from transfer.errors import InvalidConfig, InvalidReference
from transfer.mirror.config.references import SourceSpec, backup_tag, check_backup, parse_source, parse_target
from transfer.model.digest import Digest
from transfer.model.reference import Reference, parse_reference

DIGEST = Digest("sha256:" + "ab" * 32)
SOURCE = parse_reference("ghcr.io/team/web/app:v1")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("alpine", SourceSpec("docker.io", "library/alpine")),
        ("busybox:latest", SourceSpec("docker.io", "library/busybox", tag="latest")),
        ("docker://ghcr.io/team/app", SourceSpec("ghcr.io", "team/app")),
        (f"ghcr.io/team/app@{DIGEST}", SourceSpec("ghcr.io", "team/app", digest=DIGEST)),
        ("127.0.0.1:5000/team/*", SourceSpec("127.0.0.1:5000", pattern="team/*")),
        ("ghcr.io/**", SourceSpec("ghcr.io", pattern="**")),
    ],
)
def test_a_source_is_an_image_a_repository_or_a_pattern(text: str, means: SourceSpec) -> None:
    assert parse_source(text) == means


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("oci:build/image", "reads from a registry"),
        ("library/*", "must start with a registry host"),
        ("ghcr.io/team/*:v1", "choose tags"),
        ("ghcr.io/Team", "is not a repository name"),
        (f"ghcr.io/{'*' * 256}", "at most 255 characters"),
        ("", "must start with a registry host|is not a repository name"),
        ("docker-daemon:app", "reads from a registry"),
        ("containers-storage:app", "expected an image of a registry"),
        ("1.dkr.ecr.x/app", "is not an ECR registry"),
    ],
)
def test_what_is_no_source_is_named(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference, match=reason):
        parse_source(text)


def test_a_source_names_its_images_and_knows_its_repositories() -> None:
    pinned = parse_source(f"ghcr.io/app:v1@{DIGEST}")
    assert pinned.choice == "v1"
    assert pinned.reference("v1") == Reference("ghcr.io", "app", "v1", DIGEST)
    assert parse_source("ghcr.io/app").reference("v2") == Reference("ghcr.io", "app", "v2")
    assert parse_source("ghcr.io/app").reference(DIGEST) == Reference("ghcr.io", "app", None, DIGEST)
    several = parse_source("ghcr.io/team/*")
    assert several.choice is None
    assert several.reference("v1", "team/app") == Reference("ghcr.io", "team/app", "v1")
    assert [several.includes(name) for name in ("team/app", "team/a/b")] == [True, False]
    assert [pinned.includes(name) for name in ("app", "team/app")] == [True, False]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("m.example", "m.example/team/web/app:v1"),
        ("m.example/", "m.example/team/web/app:v1"),
        ("docker://m.example/hub/", "m.example/hub/team/web/app:v1"),
        ("m.example/app", "m.example/app:v1"),
        ("m.example/{registry}/{repository}", "m.example/ghcr.io/team/web/app:v1"),
        ("m.example/{namespace}/x-{name}-y", "m.example/team/web/x-app-y:v1"),
        ("m.example:5000/{flat}:{tag}-mirror", "m.example:5000/team-web-app:v1-mirror"),
        ("m.example/all:{flat}-{tag}", "m.example/all:team-web-app-v1"),
    ],
)
def test_a_template_makes_the_targets_name(template: str, name: str) -> None:
    assert str(parse_target(template).render(SOURCE)) == name


def test_a_source_by_digest_is_written_by_digest_or_under_a_tag_made_of_it() -> None:
    source = SOURCE.at(DIGEST)
    assert str(parse_target("m.example/x/").render(source)) == f"m.example/x/team/web/app@{DIGEST}"
    assert parse_target("m.example/x/:{digest}").render(source).tag == "sha256-" + "ab" * 32
    with pytest.raises(InvalidConfig, match=r"asks for \{tag\}, which the source does not have"):
        parse_target("m.example/x/:{tag}").render(source)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("m.example/{repo}", r"\{repo\} is unknown: did you mean \{repository\}\?"),
        ("m.example/{name!r}", r"the placeholder \{name!\} is unknown"),
        ("m.example/{0}", r"there are \{registry\}, \{repository\}, \{namespace\}"),
        ("m.example/{name", "a brace is not closed"),
        ("m.example/App", "'App' is not a repository name"),
        ("{registry}/app", "the registry in full"),
        ("m.example/app@sha256:00", "the registry in full"),
        ("m.example/app:", "the registry in full"),
        ("app", "must start with a registry host"),
        ("oci:layout", "'oci:layout' is not a host"),
        ("oci:./layout", "'oci:.' is not a host"),
        ("1.dkr.ecr.x/app", "is not an ECR registry"),
    ],
)
def test_a_template_that_makes_no_name_is_named_with_its_mapping(template: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason) as caught:
        parse_target(template, mapping="mappings[3]")
    assert str(caught.value).startswith("mappings[3]: ")


def test_a_name_that_only_some_sources_break_is_named_with_template_and_value() -> None:
    template = parse_target("m.example/{registry}/{name}", mapping="mappings[0]")
    with pytest.raises(InvalidConfig) as caught:
        template.render(parse_reference("localhost:5000/app:v1"))
    assert "mappings[0]: target 'm.example/{registry}/{name}' for the source localhost:5000/app:v1" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "tag", "source"),
    [
        ("m.example/app", "v1", "v1"),
        ("m.example/app:{tag}-mirror", "v1-mirror", "v1"),
        ("m.example/app:{tag}-mirror", "v1", None),
        ("m.example/app:{name}.{tag}", "app.v1", "v1"),
        ("m.example/app:{name}.{tag}", "web.v1", None),
        ("m.example/app:{tag}-{tag}", "v1-v1", "v1"),
        ("m.example/app:{tag}-{tag}", "v1-v2", None),
        ("m.example/app:{tag}-{digest}", "v1-sha256-ab", "v1"),
        ("m.example/app:fixed", "fixed", None),
    ],
)
def test_a_targets_tag_is_traced_back_to_the_sources(template: str, tag: str, source: str | None) -> None:
    assert parse_target(template).source_tag(tag, SOURCE) == source


def test_a_template_tells_whether_different_images_get_different_names() -> None:
    assert parse_target("m.example/").repository_varies
    assert not parse_target("m.example/app:{namespace}").repository_varies
    assert parse_target("m.example/app").tag_varies
    assert parse_target("m.example/app:{digest}").tag_varies
    assert not parse_target("m.example/app:{name}").tag_varies


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{tag}", "it is the tag that is overwritten"),
        ("backup/{tag}", "'backup/v1' is not a tag"),
        ("backup-{date}", r"\{date\} is unknown"),
        ("", "'' is not a tag"),
    ],
)
def test_a_backups_template_is_a_tag_and_another_one(template: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        check_backup(template)
    assert backup_tag("backup-{tag}", SOURCE) == "backup-v1"
