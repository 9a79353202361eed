"""Our own configuration: what it says, and every mistake in it with file, line and key."""

from pathlib import Path

import pytest

import transfer.mirror
from transfer.errors import InvalidConfig
from transfer.mirror.config.builder import check
from transfer.mirror.config.load import check_config, load_config, write_own
from transfer.mirror.config.settings import (
    CreateRepository,
    Encryption,
    MirrorConfig,
    MirrorRule,
    Prune,
    RegistryConfig,
)
from transfer.mirror.diagnostics import spelled
from transfer.mirror.plan.registry_access import login
from transfer.mirror.select.filters import RepositoryFilter, TagFilter

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

FULL = (
    """\
variables: [TARGET]
x-team: &team [linux/amd64, linux/arm64]
registries:
  docker.io: {username: "${HUB_USER}", password: "Pa$$w0rd-${HUB_TOKEN}", max_concurrent: 4}
  127.0.0.1:5000: {plain_http: true, max_per_second: 2.5, max_bandwidth: 10MB}
  quay.example: {password_file: token, username: robot, ca: ca.pem}
  %(ecr)s: {profile: prod, role: "arn:aws:iam::123456789012:role/push"}
defaults:
  platforms: *team
  referrers: true
  backup: backup-{tag}
  prune: {limit: 25, protect: [latest, "/release-.*/"]}
  create: {tags: {team: web}, mutability: IMMUTABLE, scan_on_push: true, lifecycle_policy: file://lifecycle.json,
           encryption: {type: KMS, kms_key: alias/images}}
mappings:
  - source: alpine
    target_s: 1
""".replace(
        "    target_s: 1\n",
        """\
    targets: ${TARGET}/hub/
    tags: {semver: ">=3.10 <4 || ^5", exclude: ["*-rc*"], newest: 3, exact: latest}
  - source: ghcr.io/team/**
    targets: [%(ecr)s/mirror/, "127.0.0.1:5000/{flat}:{tag}-copy"]
    repositories: {exclude: [team/old]}
    tags: [{glob: "1.*"}, {regex: 'v\\d+', semver: [1.x], prereleases: true}]
    platforms:
    backup: ~
    prune: {enabled: false}
    digest_tags: true
    foreign_layers: true
  - source: ghcr.io/team/app:3.10
    targets: ${TARGET}/app
jobs: 8
max_bandwidth: 1g
retry_for: 15m
hub_reserve: 20
watch: 1h30m
""",
    )
    % {"ecr": ECR}
)

ENVIRONMENT = {"TARGET": "mirror.example", "HUB_USER": "me", "HUB_TOKEN": "s3cret"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("from-a-file\n")
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "lifecycle.json").write_text('{"rules": []}')
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "mirror.yaml"
    file.write_text(text)
    file.chmod(0o644)
    return file


def wrong(folder: Path, text: str) -> list[str]:
    report = check_config(written(folder, text), environment=ENVIRONMENT)
    assert (report.config is None) == bool(report.mistakes)
    return [report.describe(mistake).removeprefix(f"{folder}/mirror.yaml:").lstrip() for mistake in report.mistakes]


def test_a_configuration_says_all_of_a_mirror(folder: Path) -> None:
    create = CreateRepository(
        tags={"team": "web"},
        mutability="IMMUTABLE",
        scan_on_push=True,
        lifecycle_policy='{"rules": []}',
        encryption=Encryption(type="KMS", kms_key="alias/images"),
    )
    platforms = ("linux/amd64", "linux/arm64")
    prune = Prune(limit=25.0, protect=("latest", "/release-.*/"))
    assert load_config(written(folder, FULL), environment=ENVIRONMENT) == MirrorConfig(
        registries={
            "docker.io": RegistryConfig(username="${HUB_USER}", password="Pa$$w0rd-${HUB_TOKEN}", max_concurrent=4),
            "127.0.0.1:5000": RegistryConfig(plain_http=True, max_per_second=2.5, max_bandwidth=10_000_000),
            "quay.example": RegistryConfig(
                username="robot", password_file=str(folder / "token"), ca=str(folder / "ca.pem")
            ),
            ECR: RegistryConfig(profile="prod", role="arn:aws:iam::123456789012:role/push"),
        },
        mappings=(
            MirrorRule(
                source="alpine",
                targets=("mirror.example/hub/",),
                tags=(TagFilter(semver=(">=3.10 <4 || ^5",), exclude=("*-rc*",), newest=3, exact=("latest",)),),
                platforms=platforms,
                referrers=True,
                backup="backup-{tag}",
                prune=prune,
                create=create,
            ),
            MirrorRule(
                source="ghcr.io/team/**",
                targets=(f"{ECR}/mirror/", "127.0.0.1:5000/{flat}:{tag}-copy"),
                repositories=RepositoryFilter(exclude=("team/old",)),
                tags=(TagFilter(glob=("1.*",)), TagFilter(regex=(r"v\d+",), semver=("1.x",), prereleases=True)),
                referrers=True,
                digest_tags=True,
                foreign_layers=True,
                prune=Prune(enabled=False),
                create=create,
            ),
            MirrorRule(
                source="ghcr.io/team/app:3.10",
                targets=("mirror.example/app",),
                platforms=platforms,
                referrers=True,
                backup="backup-{tag}",
                create=create,
            ),
        ),
        jobs=8,
        max_bandwidth=1024**3,
        retry_for=900.0,
        hub_reserve=20,
        watch="1h30m",
    )


def test_what_is_written_reads_as_the_same(folder: Path) -> None:
    config = load_config(written(folder, FULL), environment=ENVIRONMENT)
    again = load_config(written(folder, write_own(config)), environment=ENVIRONMENT)
    assert again == config
    odd = MirrorConfig(
        registries={"m.example": RegistryConfig(username="null", password="a${HUB_USER}$${X")},
        mappings=(MirrorRule(source="alpine", targets=("m.example/a",), tags=(TagFilter(regex=("a$${b}", "~", "")),)),),
    )
    assert load_config(written(folder, write_own(odd)), environment=ENVIRONMENT) == odd


@pytest.mark.attack("config-trust")
def test_a_secret_stays_where_it_is_until_it_is_used(folder: Path) -> None:
    config = load_config(written(folder, FULL), environment=ENVIRONMENT)
    assert "s3cret" not in write_own(config) + repr(config)
    assert "Pa$$" not in repr(config)
    assert login(config.registries["docker.io"], ENVIRONMENT) == "me:Pa$$w0rd-s3cret"
    assert login(config.registries["quay.example"], ENVIRONMENT) == "robot:from-a-file"
    assert login(config.registries[ECR], ENVIRONMENT) is None
    (folder / "token").unlink()
    with pytest.raises(InvalidConfig, match=r"the password's file .* cannot be read"):
        login(config.registries["quay.example"], ENVIRONMENT)


MAPPING = "mappings: [{source: alpine, targets: m.example/a, %s}]\n"
TOP = MAPPING % "referrers: true"


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["it is empty: write mappings, as in: mappings: [{source: alpine, targets: [registry.example/alpine]}]"]),
        ("- a\n", ["expected keys and values"]),
        ("jobs: 1\n", ["1: mappings: it is missing"]),
        ("mappings: []\n", ["1: mappings: there is none"]),
        ("mappings: [1]\n", ["1: mappings[0]: expected keys and values, found one value"]),
        (TOP + "mapping: 1\n", ["2: mapping: the key is unknown: did you mean 'mappings'?"]),
        (TOP + "x-own: 1\n", []),
        (
            "defaults:\n  tags: {semver: [x.y]}\nmappings:\n"
            + "".join(f"- {{source: '{name}', targets: m.example/}}\n" for name in ("a", "b", "c:1")),
            ["2: defaults.tags.semver[0]: 'x.y' is not a version, as in 1.2.3, v1.2 or 1.x"],
        ),
        (TOP + "variables: {A: b}\n", ["2: variables: expected one value, found keys and values"]),
        (
            "mappings:\n- source: alpine\n  target: m.example/a\n",
            [
                "2: mappings[0].targets: it is missing",
                "3: mappings[0].target: the key is unknown: did you mean 'targets'?",
            ],
        ),
        (MAPPING % "referrers: maybe", ["1: mappings[0].referrers: 'maybe' is not true or false"]),
        (MAPPING % "tags: {newest: many}", ["1: mappings[0].tags.newest: 'many' is not a whole number"]),
        (
            MAPPING % "tags: {exact: [[a]]}",
            ["1: mappings[0].tags.exact[0]: expected one value, found a list"],
        ),
        (
            MAPPING % "tags: {semver: latest}",
            ["1: mappings[0].tags.semver: 'latest' is not a version, as in 1.2.3, v1.2 or 1.x"],
        ),
        (
            MAPPING % "tags: [{}, {regex: ['a', '(']}]",
            ["1: mappings[0].tags[1].regex[1]: '(' is not a regular expression: missing ) at position 1"],
        ),
        (
            MAPPING % "tags: {exact: ['a b']}",
            [
                (
                    "1: mappings[0].tags.exact[0]: reference 'registry.example/repository:a b': 'a b' is not a "
                    "tag (up to 128 letters, digits, '_', '.', '-')"
                )
            ],
        ),
        (
            MAPPING % "platforms: [ios]",
            [("1: mappings[0].platforms[0]: platform 'ios': expected os/architecture[/variant], as in linux/arm64")],
        ),
        (
            MAPPING % "prune: {limit: 0, protect: /(/}, backup: '{tag}'",
            [
                "1: mappings[0].backup: backup '{tag}': it is the tag that is overwritten",
                "1: mappings[0].prune.limit: 0.0 is not more than 0 and up to 100 percent",
                "1: mappings[0].prune.protect: '(' is not a regular expression: missing ) at position 1",
            ],
        ),
        (
            MAPPING % "repositories: {glob: a}",
            [("1: mappings[0].repositories: the source names one repository; host/team/* names several")],
        ),
        (
            MAPPING % "create: {mutability: FIXED, mutability_exclude: a, encryption: {kms_key: k}}",
            [
                (
                    "1: mappings[0].create.mutability: 'FIXED' is not MUTABLE or IMMUTABLE or "
                    "MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION"
                ),
                "1: mappings[0].create.encryption.kms_key: it is for the types KMS and KMS_DSSE",
                ("1: mappings[0].create.mutability_exclude: it requires a mutability that ends in _WITH_EXCLUSION"),
            ],
        ),
        (
            MAPPING % "create: {lifecycle_policy: '{', repository_policy: '[]'}",
            [
                "1: mappings[0].create.lifecycle_policy: it is not JSON: Input data was truncated",
                "1: mappings[0].create.repository_policy: a policy is a JSON object",
            ],
        ),
        (
            "mappings:\n- {source: a b, targets: 'm.example/{repo}'}\n",
            [
                (
                    "2: mappings[0].source: reference 'a b': 'a b' is not a repository name "
                    "(lower case, digits, '.', '_', '-', '/')"
                ),
                (
                    "2: mappings[0].targets: target 'm.example/{repo}': the placeholder {repo} is unknown: "
                    "did you mean {repository}?"
                ),
            ],
        ),
        (
            "mappings:\n- {source: 'alpine:3', targets: m.example/a, tags: {glob: '*'}}\n",
            ["2: mappings[0].tags: the source names one image"],
        ),
        (
            "mappings:\n- {source: alpine, targets: 'm.example/a:fixed'}\n",
            [
                (
                    "2: mappings[0].targets: 'm.example/a:fixed': every tag would be written to the same one; "
                    "use {tag} in it"
                )
            ],
        ),
        (
            "mappings:\n- {source: ghcr.io/team/*, targets: [m.example/, m.example/a]}\n",
            [
                (
                    "2: mappings[0].targets[1]: 'm.example/a': every repository would be written to the same "
                    "one; use {repository} in it"
                )
            ],
        ),
        (
            "mappings:\n- {source: ghcr.io/a, targets: ghcr.io/}\n",
            ["2: mappings[0].targets: 'ghcr.io/': it is the source itself"],
        ),
        (
            (
                "mappings:\n"
                "- {source: alpine, targets: m.example/a, tags: {exact: ['3', '4']}}\n"
                "- {source: 'busybox:4', targets: m.example/a}\n"
                "- {source: busybox, targets: m.example/a}\n"
            ),
            ["3: mappings[1].targets: it writes m.example/a:4, as mappings[0].targets[0] does"],
        ),
        (
            TOP + "jobs: 0\nhub_reserve: -1\nwatch: soon\nmax_bandwidth: 5XB\n",
            [
                "2: jobs: 0 is less than 1",
                "3: hub_reserve: -1 is less than 0",
                "4: watch: 'soon' is not an interval such as 30s, 15m or 1h30m",
                "5: max_bandwidth: '5XB' is not a size such as 64MiB, 64MB or 67108864",
            ],
        ),
        (TOP + "watch: 15 3 * * mon-fri\n", []),
        (
            TOP + "watch: 15 3 * *\n",
            ["2: watch: '15 3 * *' is not five fields of cron, as in '15 3 * * *'"],
        ),
        (TOP + "jobs: 1\njobs: 2\n", ["3: jobs: the key is here twice"]),
    ],
)
def test_each_mistake_is_named_with_file_line_and_key(folder: Path, text: str, mistakes: list[str]) -> None:
    assert wrong(folder, text) == mistakes


@pytest.mark.parametrize(
    ("registry", "mistakes"),
    [
        (
            "m.example: {username: a}",
            ["[m.example].password: 'username' requires it, or 'password_file'"],
        ),
        ("m.example: {password: a}", ["[m.example].username: 'password' requires it"]),
        (
            "m.example: {username: a, password: b, password_file: token, anonymous: true}",
            [
                "[m.example].password_file: it excludes 'password': give one of them",
                "[m.example].anonymous: it excludes a login: give one of them",
            ],
        ),
        ("m.example: {username: 'a:b', password: c}", ["[m.example].username: it is empty, or has a ':'"]),
        ("m.example: {username: '', password: c}", ["[m.example].username: it is empty, or has a ':'"]),
        ("m.example: {profile: a}", ["[m.example].profile: only ECR has it, and this registry is not ECR"]),
        (f"{ECR}: {{username: a, password: b}}", [f"[{ECR}].username: ECR uses AWS credentials: give 'profile'"]),
        ("m.example: {key: token}", ["[m.example].key: it requires 'cert', the certificate of this key"]),
        (
            "m.example: {plain_http: true, tls_verify: false}",
            ["[m.example].plain_http: it excludes all other TLS settings"],
        ),
        (
            "m.example: {max_concurrent: 0, max_per_second: nan}",
            [
                "[m.example].max_concurrent: 0 is not more than 0",
                "[m.example].max_per_second: nan is not more than 0",
            ],
        ),
        ("http://m.example: {}", ["[http://m.example]: 'http://m.example' is not a host with an optional port"]),
        ("M.example: {}", ["[M.example]: write it in small letters: m.example"]),
    ],
)
def test_each_mistake_in_a_registry_is_named(folder: Path, registry: str, mistakes: list[str]) -> None:
    assert wrong(folder, TOP + f"registries:\n  {registry}\n") == [f"3: registries{mistake}" for mistake in mistakes]


def test_a_file_that_is_named_and_not_there_is_a_mistake(folder: Path) -> None:
    text = "registries: {m.example: {ca: gone.pem, username: a, password_file: none}}\n"
    text += "mappings: {source: alpine, targets: m.example/, create: {lifecycle_policy: 'file://none.json'}}\n"
    found = wrong(folder, text)
    assert [line.split("'")[0] for line in found] == [
        "1: registries[m.example].password_file: the file ",
        "1: registries[m.example].ca: the file ",
        "2: mappings.create.lifecycle_policy: ",
    ]


def test_variables_stand_only_where_the_file_says_so(folder: Path) -> None:
    text = """\
variables: [TARGET, GONE]
registries:
  m.example: {username: "${NOBODY}", password: "${HUB_TOKEN}${}", ca: "${HUB_TOKEN}"}
mappings:
- {source: alpine, targets: "${TARGET}/${HUB_USER}"}
- {source: alpine, targets: "m.example/a", tags: {regex: "a$${x}", glob: "${"}}
"""
    assert [line.partition(" or ")[0] for line in wrong(folder, text)] == [
        "1: variables[1]: the environment has no variable 'GONE'",
        "3: registries[m.example].username: the environment has no variable 'NOBODY'",
        "3: registries[m.example].password: '${' begins no ${NAME}: write $${ for itself",
        "3: registries[m.example].ca: ${HUB_TOKEN} is not allowed here: list HUB_TOKEN under 'variables',",
        "5: mappings[0].targets: ${HUB_USER} is not allowed here: list HUB_USER under 'variables',",
        "6: mappings[1].tags.glob: '${' begins no ${NAME}: write $${ for itself",
    ]


def test_a_configuration_made_in_python_is_checked_by_the_same_rules() -> None:
    config = MirrorConfig(
        registries={"m.example": RegistryConfig(password="x")},
        mappings=(MirrorRule(source="alpine", targets=("m.example/a", "{name}")), MirrorRule(source="a b", targets=())),
        jobs=0,
    )
    assert [f"{spelled(one.path)}: {one.reason}".partition(" (")[0] for one in check(config)] == [
        "registries[m.example].username: 'password' requires it",
        "mappings[0].targets[1]: target '{name}': expected registry/repository[:tag], the registry in full",
        "mappings[1].source: reference 'a b': 'a b' is not a repository name",
        "mappings[1].targets: there is none",
        "jobs: 0 is less than 1",
    ]
    assert check(MirrorConfig(mappings=(MirrorRule(source="alpine", targets=("m.example/a",)),))) == []


def test_all_lines_are_in_the_one_error(folder: Path) -> None:
    file = written(folder, TOP + "jobs: 0\nwatch: soon\n")
    with pytest.raises(InvalidConfig) as caught:
        load_config(file)
    assert str(caught.value).splitlines() == [
        f"{file}:2: jobs: 0 is less than 1",
        f"{file}:3: watch: 'soon' is not an interval such as 30s, 15m or 1h30m",
    ]


def test_a_file_that_anybody_can_write_to_is_worth_a_warning(folder: Path) -> None:
    file = written(folder, TOP)
    assert check_config(file).warnings == ()
    file.chmod(0o666)
    report = check_config(file)
    assert [report.describe(warning) for warning in report.warnings] == [
        f"{file}: anybody can write to it: take that away (chmod o-w)"
    ]
    assert report.require().mappings[0].source == "alpine"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"\xff", "it is not UTF-8"), (b"#" * 1024**2 + b"#", "larger than 1048576")],
)
def test_a_file_that_cannot_be_read_is_named(folder: Path, content: bytes | None, reason: str) -> None:
    file = folder / "other.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidConfig, match=reason):
        load_config(file)


@pytest.mark.parametrize(("old", "new"), [("Mapping", "MirrorRule"), ("Followed", "ConfigReloader")])
def test_the_old_names_of_classes_still_work(old: str, new: str) -> None:
    assert getattr(transfer.mirror, old) is getattr(transfer.mirror, new)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        transfer.mirror.Nonsense  # noqa: B018 - asked for its error


def test_a_check_needs_no_secret(tmp_path: Path) -> None:
    text = """
registries:
  a.example: {username: me, password: "${A_PASSWORD}"}
  b.example: {username: me, password_file: b.txt}
  c.example: {ca: c.pem}
variables: [TEAM]
mappings: [{source: "a.example/${TEAM}", targets: [b.example/x, c.example/x]}]
"""
    file = written(tmp_path, text)
    assert [one.line for one in check_config(file, environment={}).mistakes] == [3, 4, 5, 6]
    report = check_config(file, environment={}, secrets=False)
    assert [one.line for one in report.mistakes] == [5]
    assert [one.line for one in report.warnings] == [3, 4, 6]
    assert "A_PASSWORD" in report.warnings[0].reason


def test_a_registry_that_no_mapping_uses_is_a_warning_with_the_nearest_name(tmp_path: Path) -> None:
    text = """
registries:
  registry.exmaple.com: {anonymous: true}
  else.org: {anonymous: true}
  registry.example.com: {anonymous: true}
mappings: [{source: registry.example.com/app, targets: [b.example/x]}]
"""
    report = check_config(written(tmp_path, text), environment={})
    assert report.mistakes == ()
    assert [(one.line, one.reason) for one in report.warnings] == [
        (3, "no mapping uses 'registry.exmaple.com'; did you mean 'registry.example.com'?"),
        (4, "no mapping uses 'else.org'; they use b.example, registry.example.com"),
    ]
