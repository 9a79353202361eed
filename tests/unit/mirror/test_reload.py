"""A configuration that is followed: what counts as a change, and which changes connections outlive."""

from pathlib import Path

import pytest

from transfer.errors import InvalidConfig
from transfer.mirror.config.load import load_config
from transfer.mirror.watcher.reload import ConfigReloader

MAPPINGS = "mappings: [{source: a.example/app, targets: b.example/}]\n"
REGISTRY = "registries: {b.example: {username: me, password_file: secret}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("s3cret")
    found = tmp_path / "mirror.yaml"
    found.write_text(MAPPINGS + REGISTRY)
    return found


def follow(file: Path) -> ConfigReloader:
    return ConfigReloader(lambda: load_config(file), file=str(file), schedule="30m")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (MAPPINGS + REGISTRY, True),
        (MAPPINGS.replace("/app", "/other") + REGISTRY + "jobs: 3\nwatch: 5m\n", True),
        (MAPPINGS, False),
        (MAPPINGS + REGISTRY.replace("me,", "you,"), False),
        (MAPPINGS + REGISTRY + "max_bandwidth: 1MB\n", False),
        (MAPPINGS + REGISTRY + "hub_reserve: 10\n", False),
    ],
)
def test_connections_outlive_what_they_do_not_depend_on(file: Path, text: str, same: bool) -> None:
    followed = follow(file)
    before = followed.current.reached
    file.write_text(text)
    followed.read()
    assert (followed.current.reached == before) is same


def test_a_change_is_seen_until_it_is_read_well_or_badly(file: Path) -> None:
    followed = follow(file)
    seen = [followed.changed()]
    file.write_text("mappings: []\n")
    seen.append(followed.changed())
    with pytest.raises(InvalidConfig):
        followed.read()
    seen.append(followed.changed())
    file.write_text(MAPPINGS)
    seen.append(followed.changed())
    followed.read()
    seen.append(followed.changed())
    assert seen == [False, True, False, True, False]


def test_a_file_that_is_replaced_by_another_of_the_same_size_and_time_has_changed(file: Path) -> None:
    followed = follow(file)
    draft = file.with_name("new")
    draft.write_text(file.read_text())
    draft.replace(file)
    assert followed.changed()


def test_a_password_that_changes_is_a_change_and_gets_new_connections(file: Path) -> None:
    followed = follow(file)
    before = followed.current
    file.with_name("secret").write_text("an0ther")
    assert followed.changed()
    followed.read()
    assert followed.current.reached != before.reached
    assert followed.current.accesses.to("b.example").login == "me:an0ther"
    assert not followed.changed()


def test_a_password_that_vanishes_leaves_the_old_one(file: Path) -> None:
    followed = follow(file)
    file.with_name("secret").unlink()
    with pytest.raises(InvalidConfig, match="password_file: the file"):
        followed.read()
    assert followed.current.accesses.to("b.example").login == "me:s3cret"
    assert not followed.changed()


def test_what_is_said_of_jobs_and_of_when_comes_before_the_file(file: Path) -> None:
    file.write_text(MAPPINGS + "jobs: 3\nwatch: 5m\n")
    output = ConfigReloader(lambda: load_config(file), file=str(file), schedule="1h", jobs=7).current
    found = ConfigReloader(lambda: load_config(file), file=str(file)).current
    assert (output.config.jobs, output.schedule) == (7, "1h")
    assert (found.config.jobs, found.schedule) == (3, "5m")
