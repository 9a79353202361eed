"""regsync.yml, as its documentation shows it, and what of it cannot be taken over."""

from pathlib import Path

import pytest

from tests.support.documented import REGSYNC
from transfer.mirror.config.foreign.gotemplate import TemplatePart, evaluate, parse
from transfer.mirror.config.load import ConfigReport, check_config, load_config, write_own
from transfer.mirror.config.settings import MirrorConfig, MirrorRule, RegistryConfig
from transfer.mirror.select.filters import RepositoryFilter, TagFilter

# regclient.org/usage/regsync: the file at its head, and its user extensions.
USAGE = r"""
version: 1 # optional for v1 files, there is no v2 yet
creds:
  # credentials are only needed for logins that are not stored in the docker config
  - registry: registry.example.org
    user: syncuser
    pass: 'Pa$$w0rd' # typically you would store secrets outside of this file
  - registry: docker.io
    user: youruser
    pass: "{{file \"/var/run/secrets/hub_token\"}}"
defaults:
  interval: 60m # all sync checks run hourly
sync:
  - source: busybox:latest
    target: registry.example.org/library/busybox:latest
    type: image
  - source: alpine
    target: registry.example.org/library/alpine
    type: repository
    tagSets: # tag sets allow multiple criteria
      - allow: # first set of tags is a fixed list of tags
        - "latest"
        - "edge"
      - semverRange: # second set of tags is only patch tags in a specific semver range
        - ">=3.5.1 <4.0"
        allow:
        - 'v\d+\.\d+\.\d+'
  - source: ghcr.io/regclient/regctl
    target: registry.example.org/regclient/regctl
    type: repository
    tags:
      allow:
      - "latest"
      - "edge"
      - "v[0-9\\.]+"
    referrers: true
    digestTags: true
    fastCopy: true
"""

EXTENSIONS = r"""
x-backup: &backup "backup-{{.Ref.Tag}}"
x-std-repo: &std-repo
  type: repository
  tags:
    allow:
    - "latest"
    - 3.10
sync:
  - <<: *std-repo
    source: upstream.example.com/repo-a
    target: registry.example.org/repo-a
  - <<: *std-repo
    source: upstream.example.com/repo-b
    target: registry.example.org/repo-b
    backup: *backup
  - source: upstream.example.com/repo-c:latest
    target: registry.example.org/repo-c:latest
    type: image
    backup: *backup
"""

# docs/examples/k8s-regsync.yaml: the file inside.
KUBERNETES = r"""
version: 1
creds:
  - registry: registry:5000
    hostname: registry.registry:5000
    tls: disabled
  - registry: docker.io
    # user: "{{env \"HUB_USER\"}}"
    # pass: "{{file \"/home/appuser/.docker/hub_token\"}}"
defaults:
  ratelimit:
    min: 10
    retry: 15m
  parallel: 1
  interval: 5m
  backup: "bkup-{{.Ref.Tag}}"
sync:
  - source: busybox:latest
    target: registry:5000/library/busybox:latest
    type: repository
    tags:
      allow:
      - "latest"
  - source: alpine
    target: registry:5000/library/alpine
    type: repository
    tags:
      allow:
      - "latest"
      - "3"
"""

ENVIRONMENT = {"HUB_USER": "me", "PREFIX": "hub"}


def read(folder: Path, text: str) -> ConfigReport:
    for token in ("/home/appuser/.docker/hub_token", "/var/run/secrets/hub_token"):
        text = text.replace(token, str(folder / "hub_token"))
    (folder / "hub_token").write_text("from-a-file\n")
    file = folder / "regsync.yml"
    file.write_text(text)
    file.chmod(0o644)
    return check_config(file, environment=ENVIRONMENT)


def reported(report: ConfigReport) -> list[str]:
    return [report.describe(one).rpartition("regsync.yml")[2] for one in (*report.mistakes, *report.warnings)]


def test_the_repositorys_example_is_read_as_it_is(tmp_path: Path) -> None:
    report = read(tmp_path, REGSYNC.replace("registry:5000", "127.0.0.1:5000"))
    assert report.format == "regsync"
    assert reported(report) == [
        ":12: defaults.ratelimit.retry: it is ignored: the registry reports when its quota is renewed",
        ":34: sync[2].mediaTypes: it is not taken over: every type of manifest is copied",
    ]
    backup = "bkup-{tag}"
    assert report.require() == MirrorConfig(
        mappings=(
            MirrorRule(source="busybox:latest", targets=("127.0.0.1:5000/library/busybox:latest",), backup=backup),
            MirrorRule(
                source="alpine",
                targets=("127.0.0.1:5000/library/alpine",),
                tags=(TagFilter(regex=("latest", "3", r"3.\d+")),),
                backup=backup,
            ),
            MirrorRule(
                source="debian",
                targets=("127.0.0.1:5000/library/debian",),
                tags=(TagFilter(regex=(r"\d+",)),),
                backup=backup,
            ),
            MirrorRule(
                source="ghcr.io/regclient/regctl:latest",
                targets=("127.0.0.1:5000/regclient/regctl:latest",),
                backup=backup,
            ),
        ),
        registries={
            "127.0.0.1:5000": RegistryConfig(plain_http=True),
            "docker.io": RegistryConfig(username="${HUB_USER}", password_file=str(tmp_path / "hub_token")),
        },
        jobs=2,
        hub_reserve=100,
        watch="60m",
    )


def test_the_documentations_example_is_read_as_it_is(tmp_path: Path) -> None:
    report = read(tmp_path, USAGE)
    assert reported(report) == [
        ":38: sync[2].fastCopy: it is not taken over: referrers are looked for as often as the images are"
    ]
    config = report.require()
    assert config.registries["registry.example.org"] == RegistryConfig(username="syncuser", password="Pa$$w0rd")
    assert config.mappings[1].tags == (
        TagFilter(regex=("latest", "edge")),
        TagFilter(regex=(r"v\d+\.\d+\.\d+",), semver=(">=3.5.1 <4.0.0",), prereleases=True),
    )
    assert config.mappings[2] == MirrorRule(
        source="ghcr.io/regclient/regctl",
        targets=("registry.example.org/regclient/regctl",),
        tags=(TagFilter(regex=("latest", "edge", r"v[0-9\.]+")),),
        referrers=True,
        digest_tags=True,
    )


def test_anchors_merged_keys_and_user_extensions_are_read(tmp_path: Path) -> None:
    report = read(tmp_path, EXTENSIONS)
    assert reported(report) == []
    mappings = report.require().mappings
    assert [mapping.backup for mapping in mappings] == [None, "backup-{tag}", "backup-{tag}"]
    assert {mapping.tags for mapping in mappings[:2]} == {(TagFilter(regex=("latest", "3.10")),)}


def test_the_example_for_kubernetes_is_read_as_it_is(tmp_path: Path) -> None:
    report = read(tmp_path, KUBERNETES)
    assert reported(report) == [
        ":13: defaults.ratelimit.retry: it is ignored: the registry reports when its quota is renewed",
        ":18: sync[0].source: 'busybox:latest': a repository has no tag; it is left out",
        ":19: sync[0].target: 'registry.registry:5000/library/busybox:latest': a repository has no tag; it is left out",
    ]
    config = report.require()
    assert config.registries == {"registry.registry:5000": RegistryConfig(plain_http=True)}
    assert [(one.source, *one.targets) for one in config.mappings] == [
        ("busybox", "registry.registry:5000/library/busybox"),
        ("alpine", "registry.registry:5000/library/alpine"),
    ]
    assert (config.jobs, config.hub_reserve, config.watch) == (1, 10, "5m")


@pytest.mark.parametrize("text", [REGSYNC, USAGE, EXTENSIONS, KUBERNETES])
def test_what_is_converted_reads_as_the_same(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text.replace("registry:5000", "127.0.0.1:5000")).require()
    (tmp_path / "ours.yaml").write_text(write_own(config))
    assert load_config(tmp_path / "ours.yaml", environment=ENVIRONMENT) == config


def test_settings_of_registries_are_taken_over(tmp_path: Path) -> None:
    text = """
creds:
- {registry: a.example, hostname: a.internal, tls: insecure, reqPerSec: 0.5, reqConcurrent: 3, repoAuth: true}
- {registry: 'b.{{env "PREFIX"}}', user: 'u-{{env "HUB_USER"}}', pass: 'a${b}', regcert: '{{file "hub_token"}}'}
- {registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com, user: AWS, credHelper: docker-credential-ecr-login}
sync: [{source: a.example/app, target: a.example/x/app, type: repository}]
"""
    report = read(tmp_path, text)
    assert report.require().registries == {
        "a.internal": RegistryConfig(tls_verify=False, max_per_second=0.5, max_concurrent=3),
        "b.hub": RegistryConfig(username="u-${HUB_USER}", password="a$${b}", ca=str(tmp_path / "hub_token")),
    }
    assert report.require().mappings[0] == MirrorRule(source="a.internal/app", targets=("a.internal/x/app",))
    assert reported(report) == [
        ":3: creds[0].repoAuth: it is not taken over: tokens are asked for each repository anyway",
        ":4: creds[1]: no mapping uses 'b.hub'; they use a.internal",
        ":5: creds[2].credHelper: it is not taken over: name it under credHelpers in docker's config.json",
        ":5: creds[2].user: it is not taken over: ECR takes AWS credentials",
    ]


def test_steps_of_every_type_are_taken_over(tmp_path: Path) -> None:
    text = r"""
defaults: {digestTags: true, includeExternal: true, schedule: "15 3 * * *"}
sync:
- {source: r.example, target: m.example/r/, type: registry, repos: {allow: [team/.*], deny: [".*-old"]},
   tags: {deny: [".*-rc"]}, digestTags: false}
- {source: 'alpine', target: 'm.example/{{ env "PREFIX" }}/{{.Sync.Source}}', type: image, platform: linux/arm64}
- {source: debian, target: m.example/debian, type: repository, platforms: [linux/amd64, linux/arm64]}
- {source: "busybox:latest", target: "m.example/busybox:latest", type: repository, schedule: "1 1 * * *"}
"""
    report = read(tmp_path, text)
    common = MirrorRule(source="", targets=("",), digest_tags=True, foreign_layers=True)
    assert [(one.source, *one.targets) for one in report.require().mappings] == [
        ("r.example/**", "m.example/r/{repository}"),
        ("alpine:latest", "m.example/hub/alpine:latest"),
        ("debian", "m.example/debian"),
        ("busybox", "m.example/busybox"),
    ]
    first, *others = report.require().mappings
    assert first.repositories == RepositoryFilter(regex=("team/.*",), exclude=("/.*-old/",))
    assert (first.tags, first.digest_tags) == ((TagFilter(exclude=("/.*-rc/",)),), False)
    assert [one.digest_tags and one.foreign_layers for one in others] == [common.digest_tags] * 3
    assert [one.platforms for one in others] == [("linux/arm64",), ("linux/amd64", "linux/arm64"), ()]
    assert reported(report) == [
        ":8: sync[3].source: 'busybox:latest': a repository has no tag; it is left out",
        ":8: sync[3].target: 'm.example/busybox:latest': a repository has no tag; it is left out",
        ":8: sync[3].schedule: there is one for the whole file, '15 3 * * *'",
    ]


@pytest.mark.parametrize(
    ("step", "mistake"),
    [
        ("type: tag", "type: 'tag' is not registry or repository or image"),
        (
            "target: 'ocidir://x'",
            "target: target 'ocidir://x': reference 'ocidir:/repository': 'ocidir:' is not a host",
        ),
        ("source: 'ocidir://x'", "source: source 'ocidir://x': "),
        ("tags: {allow: ['(']}", "tags.allow[0]: '(' is not a regular expression: missing ) at position 1"),
        ("tagSets: [{semverRange: [x.y]}]", "tagSets[0].semverRange[0]: 'x.y' is not a version"),
        ("platform: linux", "platform: platform 'linux': expected os/architecture[/variant]"),
        ("hooks: {}", "hooks: it cannot be taken over: commands are not run"),
        ("referrerTarget: x", "referrerTarget: it cannot be taken over: referrers go where their image goes"),
        ("backup: 'old/app:{{.Ref.Tag}}'", "backup: a backup is a tag in the same repository, without ':' and '/'"),
        ("backup: '{{.Ref.Digest}}'", "backup: only .Ref.Tag, .Ref.Registry, .Ref.Repository are known of the image"),
        ("target: 'm.example/{{env \"GONE\"}}'", "target: the environment has no 'GONE'"),
        ("target: 'm.example/{{.Sync.Nothing}}'", "target: the template has no '.Sync.Nothing'"),
        ("target: 'm.example/{{file \"none\"}}'", "target: the file 'none' cannot be read"),
        (
            "target: 'm.example/{{ index (split .Sync.Source \"/\") 1 }}'",
            'target: the template {{index (split .Sync.Source "/") 1}}: index cannot be applied: the list has 1',
        ),
        (
            "target: 'm.example/{{ .Sync.Source | title }}'",
            "target: the template {{.Sync.Source | title}} is not supported: only fields and the functions contains, ",
        ),
    ],
)
def test_what_of_a_step_cannot_be_taken_over_is_named(tmp_path: Path, step: str, mistake: str) -> None:
    rest = {"source": "alpine", "target": "m.example/a", "type": "repository"}
    lines = [f"    {key}: {value}" for key, value in rest.items() if not step.startswith(f"{key}:")]
    report = read(tmp_path, "\n".join(["sync:", "  - x-first: 1", f"    {step}", *lines]))
    assert reported(report)[0].startswith(f":3: sync[0].{mistake}")
    assert report.config is None


@pytest.mark.parametrize(
    ("cred", "mistake"),
    [
        ("{registry: a.example, token: x}", "[0].token: it cannot be taken over: use a user and a password"),
        ("{registry: a.example, pathPrefix: x}", "[0].pathPrefix: it cannot be taken over: write the path into"),
        ("{registry: a.example, tls: maybe}", "[0].tls: 'maybe' is not enabled or insecure or disabled"),
        ("{registry: a.example, regcert: PEM}", "[0].regcert: a certificate inside the file is not supported"),
        (
            "{registry: a.example, user: u, pass: 'x{{file \"hub_token\"}}'}",
            "[0].pass: a file can only be a whole password",
        ),
        (
            "{registry: a.example, user: u, pass: '{{env \"GONE\"}}'}",
            "[0].pass: the environment has no variable 'GONE'",
        ),
        (
            "{registry: b, hostname: a.example, tls: insecure}, {registry: a.example}",
            "[1]: the host a.example has settings",
        ),
    ],
)
def test_what_of_a_registry_cannot_be_taken_over_is_named(tmp_path: Path, cred: str, mistake: str) -> None:
    text = f"creds: [{cred}]\nsync: [{{source: alpine, target: m.example/a, type: repository}}]\n"
    report = read(tmp_path, text)
    assert report.config is None
    assert reported(report)[0].startswith(f":1: creds{mistake}")


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    text = "version: 2\nfuture: x\nsync: [{source: alpine, target: m.example/a, type: repository}]\n"
    assert reported(read(tmp_path, text)) == [
        ":1: version: '2' is not a version that is known: 1",
        ":2: future: the key is unknown: there are version, creds, defaults, sync",
    ]


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("", []),
        ("plain", [TemplatePart("text", "plain")]),
        ('{{env "A"}}', [TemplatePart("env", "A")]),
        ("a{{ file `b\\c` }}d", [TemplatePart("text", "a"), TemplatePart("file", "b\\c"), TemplatePart("text", "d")]),
        (
            "x {{- .Ref.Tag -}} y",
            [TemplatePart("text", "x"), TemplatePart("field", ".Ref.Tag"), TemplatePart("text", "y")],
        ),
        (
            "x {{ .Ref.Tag }} y",
            [TemplatePart("text", "x "), TemplatePart("field", ".Ref.Tag"), TemplatePart("text", " y")],
        ),
    ],
)
def test_a_template_is_text_variables_files_and_fields(template: str, parts: list[TemplatePart]) -> None:
    assert parse(template) == parts


@pytest.mark.parametrize(
    ("template", "value"),
    [
        # As regclient's own tests have them.
        ('{{index (split .Sync.Source "gcr.io/") 1}}', "project/app"),
        ('{{ replace .Sync.Source "gcr.io/" "m.example/" }}', "m.example/project/app"),
        ('{{ trimPrefix .Sync.Source "gcr.io/" }}', "project/app"),
        ('{{ join (split .Sync.Source "/") "-" }}', "gcr.io-project-app"),
        ('{{ (index (split .Sync.Source "/") 2) | upper }}', "APP"),
        ("{{.Sync.Source | upper | lower}}", "gcr.io/project/app"),
        ('{{ printf "%s-%d" .Sync.Source 2 }}', "gcr.io/project/app-2"),
        ('{{ trimSuffix (trimPrefix .Sync.Source "gcr.io") "/app" }}', "/project"),
        ('{{ default "x" (env "EMPTY") }}', "x"),
        ('{{ replace .Sync.Source "p" "" 1 }}', "gcr.io/roject/app"),
        ('{{ len (split .Sync.Source "/") }}', "3"),
        ("{{ split .Sync.Source `/` }}", "[gcr.io project app]"),
    ],
)
def test_functions_are_computed_as_regclient_does(template: str, value: str) -> None:
    known = {".Sync.Source": "gcr.io/project/app", "EMPTY": ""}
    (part,) = parse(template)
    assert part.pipeline is not None
    assert evaluate(part.pipeline, lambda _, name: known[name]) == value


@pytest.mark.parametrize(
    "template",
    [
        '{{ index (split .A "/") 9 }}',
        '{{ index (split .A "/") -1 }}',
        "{{ index .A 0 }}",
        "{{ upper (split .A `/`) }}",
        "{{ join .A 1 }}",
        '{{ printf "%s %s" .A }}',
    ],
)
def test_a_function_that_cannot_be_applied_is_named(template: str) -> None:
    (part,) = parse(template)
    with pytest.raises(ValueError, match="cannot be applied"):
        evaluate(part.pipeline or (), lambda *_: "a")


@pytest.mark.parametrize(
    "template",
    [
        *("{{", '{{env "a}}', "{{env}}", "{{.Ref.Tag | title}}", "{{if .Ref}}x{{end}}", "{{}}", "{{.A .B}}", "{{(.A}}"),
        *("{{.A)}}", "{{.A | .B}}", "{{upper}}", "{{split .A}}", "{{.a}}", "{{" + "(" * 30 + ".A" + ")" * 30 + "}}"),
    ],
)
def test_what_a_template_cannot_say_here_is_named(template: str) -> None:
    with pytest.raises(ValueError, match=r"is not supported|is not closed"):
        parse(template)
