"""`transfer mirror` as people type it: arguments, other tools' files, failures, and what a program reads of it."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pytest

from tests.support.command import Command, on_a_terminal, served, started
from tests.support.documented import REGSYNC, SKOPEO
from transfer.server import Server
from transfer.testing.images import ImageBuilder

LOGIN = ("--src-creds", "transfer:transfer", "--dest-creds", "transfer:transfer")


@dataclass
class Registries:
    """Two embedded registries, by their hosts."""

    command: Command
    layout: ImageBuilder
    source: str
    target: str

    def fill(self, **repositories: str) -> None:
        """Put small images into repositories of the source: `app="v1 v2"`; `__` is a slash."""
        for name, tags in repositories.items():
            for number, tag in enumerate(tags.split()):
                image = self.layout.image((200,), seed=number, tag=f"t{number}")
                place = f"{self.source}/{name.replace('__', '/')}:{tag}"
                self.command.ok("push", "--dest-creds", "transfer:transfer", image.source, place, "-q")

    def tags(self, repository: str) -> set[str]:
        ended = self.command("tags", f"{self.target}/{repository}", "--creds", "transfer:transfer")
        return set(ended.out.split())


@pytest.fixture
def registries(command: Command, layout: ImageBuilder) -> Iterator[Registries]:
    with ExitStack() as stack:
        servers: list[Server] = [stack.enter_context(served()) for _ in range(2)]
        source, target = (server.url.removeprefix("http://") for server in servers)
        yield Registries(command, layout, source, target)


def test_tags_are_chosen_by_arguments_and_the_report_is_a_table(registries: Registries) -> None:
    registries.fill(team__app="v1.0 v1.1 v2.0 latest")
    ended = registries.command(
        *("mirror", f"{registries.source}/team/app", f"{registries.target}/mirror/"),
        *("--semver", ">=1.1", "--exclude", "*2*", *LOGIN, "--no-journal"),
    )
    assert ended.code == 0, ended.err
    assert registries.tags("mirror/team/app") == {"v1.1"}
    header, row = ended.out.splitlines()
    assert header.split()[:3] == ["STATUS", "TARGET", "SOURCE"]
    assert row.split()[:2] == ["copied", f"{registries.target}/mirror/team/app:v1.1"]
    assert ended.err.splitlines()[-1].startswith("1 image: 1 copied, ")


def test_a_repository_needs_a_choice_of_tags(registries: Registries) -> None:
    ended = registries.command("mirror", f"{registries.source}/team/app", f"{registries.target}/mirror/")
    assert ended.code == 2
    assert "--all-tags" in ended.err


def test_a_filter_that_fits_nothing_is_told(registries: Registries) -> None:
    registries.fill(app="v1")
    ended = registries.command(
        "mirror", f"{registries.source}/app", f"{registries.target}/app", "--tags", "x*", *LOGIN, "--no-journal"
    )
    assert ended.code == 0
    assert "nothing fits glob 'x*'" in ended.err


def test_what_failed_is_left_for_the_next_run_to_do_alone(registries: Registries, tmp_path: Path) -> None:
    registries.fill(app="v1 v2")
    failures, report = tmp_path / "failed.jsonl", tmp_path / "report.json"
    config = tmp_path / "mirror.yaml"
    config.write_text(
        f"""
registries:
  {registries.source}: {{username: transfer, password: transfer}}
  {registries.target}: {{username: transfer, password: transfer}}
mappings:
  - source: {registries.source}/app
    targets: ['{registries.target}/app']
    tags: {{exact: [v1, v2, v3]}}
"""
    )
    arguments = ("mirror", "-c", config, "--failures", failures, "--report", report, "--json", "--no-journal")
    ended = registries.command(*arguments)
    assert ended.code == 1
    assert json.loads(ended.out) == json.loads(report.read_text())
    assert json.loads(ended.out)["counts"] == {"copied": 2, "failed": 1}
    (left,) = map(json.loads, failures.read_text().splitlines())
    assert (left["target"], left["error"]) == (f"{registries.target}/app:v3", "NotFound")

    registries.fill(app="v1 v2 v3")
    ended = registries.command(*arguments)
    assert (ended.code, json.loads(ended.out)["counts"]) == (0, {"copied": 1})
    assert not failures.exists()
    ended = registries.command(*arguments)
    assert (ended.code, json.loads(ended.out)["counts"]) == (0, {"unchanged": 3})


def test_a_mapping_that_cannot_be_looked_at_is_done_again_and_nothing_else(
    registries: Registries, tmp_path: Path
) -> None:
    registries.fill(app="v1")
    failures, config = tmp_path / "failed.jsonl", tmp_path / "mirror.yaml"
    config.write_text(
        f"""
registries:
  {registries.source}: {{username: transfer, password: transfer}}
  {registries.target}: {{username: transfer, password: transfer}}
mappings:
  - {{source: {registries.source}/app, targets: ['{registries.target}/app'], tags: {{glob: '*'}}}}
  - {{source: {registries.source}/late, targets: ['{registries.target}/late'], tags: {{glob: '*'}}}}
"""
    )
    arguments = ("mirror", "-c", config, "--failures", failures, "--json", "--no-journal")
    ended = registries.command(*arguments)
    assert (ended.code, json.loads(ended.out)["counts"]) == (1, {"copied": 1, "failed": 1})
    (left,) = map(json.loads, failures.read_text().splitlines())
    assert (left["mapping"], left["whole"], left["error"]) == ("mappings[1]", True, "NotFound")

    registries.fill(late="v1 v2")
    ended = registries.command(*arguments)
    assert (ended.code, json.loads(ended.out)["counts"]) == (0, {"copied": 2})
    assert not failures.exists()


def test_a_terminal_shows_what_is_in_work_until_the_end(registries: Registries) -> None:
    image = registries.layout.image([12_000_000], seed=1, tag="large")
    registries.command.ok("push", *LOGIN[2:], image.source, f"{registries.source}/app:v1", "-q")
    arguments = ("mirror", f"{registries.source}/app", f"{registries.target}/app", "--all-tags", *LOGIN, "--no-journal")
    slow = ("--max-bandwidth", "20MB")
    code, out, shown = on_a_terminal(*arguments, *slow)
    assert code == 0
    assert out.splitlines()[1].startswith("copied")
    assert "0 of 1 image" in shown
    assert f"{registries.target}/app:v1" in shown
    assert "of 12.0 MB" in shown
    assert shown.rindex("copied: ") < shown.rindex("1 image: 1 copied")
    code, _, shown = on_a_terminal(*arguments, TERM="dumb")
    assert (code, "\x1b" in shown) == (0, False)


def test_programs_can_follow_a_mirror(registries: Registries) -> None:
    registries.fill(app="v1 v2")
    arguments = ("mirror", f"{registries.source}/app", f"{registries.target}/app", "--all-tags", *LOGIN, "--no-journal")
    lines = registries.command(*arguments, "--progress", "json").err.splitlines()
    names = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    assert names[0] == "images_found"
    assert [names.count(name) for name in ("image_started", "image_ended", "planned")] == [2, 2, 2]


def test_cron_is_silent_where_nothing_happened_and_hears_each_failure_once(registries: Registries) -> None:
    registries.fill(app="v1")
    arguments = ("mirror", f"{registries.source}/app", f"{registries.target}/app", *LOGIN, "--no-journal")
    quietly = ("-q", "--only", "changed,failed")
    copied = registries.command(*arguments, "--tags", "v*", *quietly)
    assert (copied.code, copied.err) == (0, "")
    assert [line.split()[0] for line in copied.out.splitlines()] == ["STATUS", "copied"]
    unchanged = registries.command(*arguments, "--tags", "v*", *quietly)
    assert (unchanged.code, unchanged.out, unchanged.err) == (0, "", "")
    failed = registries.command(
        "mirror", f"{registries.source}/app:v9", f"{registries.target}/app", *arguments[3:], *quietly
    )
    assert failed.code == 1
    assert failed.err.startswith(f"failed: {registries.source}/app:v9 -> {registries.target}/app:v9: ")
    assert (failed.err + failed.out).count("no such image") == 1
    counted = json.loads(registries.command(*arguments, "--tags", "v*", *quietly, "--json").out)
    assert (counted["images"], counted["counts"]) == ([], {"unchanged": 1})
    wrong = registries.command(*arguments, "--tags", "v*", "--only", "chnged")
    assert (wrong.code, "'chnged' is none of changed, failed" in wrong.err) == (2, True)


def test_a_bad_file_names_every_mistake_and_moves_nothing(registries: Registries, tmp_path: Path) -> None:
    config = tmp_path / "mirror.yaml"
    config.write_text(
        "mappings:\n  - {source: a/b:c:d, targets: [x], tagz: []}\n  - {source: a, targets: ['m.example/{nam}']}\n"
    )
    ended = registries.command("mirror", "-c", config)
    assert ended.code == 2
    assert "tagz" in ended.err
    assert "{nam}" in ended.err
    assert ended.out == ""


def test_refused_credentials_end_with_4(registries: Registries) -> None:
    registries.fill(app="v1")
    wrong = ("--src-creds", "transfer:transfer", "--dest-creds", "transfer:canary-77aa")
    ended = registries.command(
        "mirror", f"{registries.source}/app:v1", f"{registries.target}/app", *wrong, "--no-journal"
    )
    assert ended.code == 4
    assert "canary-77aa" not in ended.err + ended.out


def test_a_regsync_file_runs_as_it_is(registries: Registries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registries.fill(
        library__busybox="latest",
        library__alpine="latest 3 3.19 edge",
        library__debian="12 sid",
        regclient__regctl="latest",
    )
    token, file = tmp_path / "hub_token", tmp_path / "regsync.yml"
    token.write_text("transfer\n")
    monkeypatch.setenv("HUB_USER", "transfer")
    here = {
        "/home/appuser/.docker/hub_token": str(token),
        "registry: registry:5000\n": f"registry: {registries.target}\n    user: transfer\n    pass: transfer\n",
        "registry: docker.io\n": f"registry: {registries.source}\n",
        "registry:5000/": f"{registries.target}/",
        "source: ghcr.io/": f"source: {registries.source}/",
        **{
            f"source: {name}": f"source: {registries.source}/library/{name}" for name in ("busybox", "alpine", "debian")
        },
    }
    file.write_text(reduce(lambda text, change: text.replace(*change), here.items(), REGSYNC))
    ended = registries.command("mirror", "-c", file, "--no-journal")
    assert ended.code == 0, ended.err
    assert registries.tags("library/alpine") == {"latest", "3", "3.19"}
    assert registries.tags("library/debian") == {"12"}
    assert registries.tags("library/busybox") == registries.tags("regclient/regctl") == {"latest"}


def test_a_file_of_skopeo_sync_runs_as_it_is(registries: Registries, tmp_path: Path) -> None:
    registries.fill(
        busybox="1 2", redis="1.0 2.0 3.0", nginx="1.13.1-alpine-perl 1.13.3-alpine-perl", alpine="3.11.0 3.12.0 3.19.1"
    )
    file = tmp_path / "sync.yml"
    at_source = SKOPEO[: SKOPEO.index("quay.io")].replace("registry.example.com", registries.source)
    login = {"john": "transfer", "this is a secret": "transfer", "/home/john/certs": str(tmp_path)}
    unknown = '            - "sha256:0000000000000000000000000000000011111111111111111111111111111111"\n'
    file.write_text(reduce(lambda text, change: text.replace(*change), {unknown: "", **login}.items(), at_source))
    ended = registries.command(*("mirror", "-c", file, "--dest", f"{registries.target}/repo", "--no-journal", *LOGIN))
    assert ended.code == 0, ended.err
    assert registries.tags("repo/busybox") == {"1", "2"}
    assert registries.tags("repo/redis") == {"1.0", "2.0"}
    assert registries.tags("repo/nginx") == {"1.13.1-alpine-perl"}
    assert registries.tags("repo/alpine") == {"3.12.0", "3.19.1"}


def test_a_terminated_mirror_writes_its_report(registries: Registries, tmp_path: Path) -> None:
    registries.fill(app=" ".join(f"v{number}" for number in range(30)))
    report = tmp_path / "report.json"
    arguments = ("mirror", f"{registries.source}/app", f"{registries.target}/app", "--all-tags", *LOGIN)
    with started(*arguments, "--report", report, "-j", "1", "--state", tmp_path / "state") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("copied: ")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    found = json.loads(report.read_text())
    assert found["stopped"]
    assert found["counts"]["copied"] + found["counts"]["stopped"] == 30
    assert len(registries.tags("app")) == found["counts"]["copied"]
    assert out.splitlines()[0].startswith("STATUS")


MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  initContainers: [{{name: init, image: "{source}/team/tool:v1"}}]
  containers: [{{name: web, image: "{source}/team/app:v2"}}, {{name: side, image: "{source}/team/tool:v1"}}]
"""


@pytest.mark.parametrize("kind", ["lines", "kubernetes"])
def test_the_images_of_a_list_are_shown_and_mirrored(registries: Registries, tmp_path: Path, kind: str) -> None:
    registries.fill(team__app="v1 v2", team__tool="v1")
    images = [f"{registries.source}/team/tool:v1", f"{registries.source}/team/app:v2"]
    text = (
        "\n".join([*images, images[0], "# the end"]) if kind == "lines" else MANIFEST.format(source=registries.source)
    )
    (tmp_path / "list").write_text(text)

    ended = registries.command(
        *("mirror", "--images-from", tmp_path / "list", f"{registries.target}/mirror/", *LOGIN, "--no-journal")
    )

    assert ended.code == 0, ended.err
    assert f"2 images in {tmp_path / 'list'}:\n  {images[0]}\n  {images[1]}\n" in ended.err
    assert registries.tags("mirror/team/app") == {"v2"}
    assert registries.tags("mirror/team/tool") == {"v1"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--images-from", "LIST", "a.example/x", "b.example/y"), "takes TARGET alone"),
        (("--images-from", "LIST"), "takes TARGET alone"),
        (("--images-from", "absent", "b.example/y/"), "cannot be read"),
        (("--images-from", "LIST", "b.example/y/", "--all-tags"), "options that choose tags"),
        (("--images-from", "LIST", "b.example/y/"), "names no image"),
    ],
)
def test_a_list_that_cannot_be_used_is_named(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    (tmp_path / "list").write_text("# nothing\n")
    ended = command("mirror", *(str(tmp_path / "list") if one == "LIST" else one for one in arguments))
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.err
