"""Which images a mirror looks at more closely, and which tags it removes."""

from typing import Any

import pytest

from transfer.errors import InvalidConfig
from transfer.mirror.config.references import parse_target
from transfer.mirror.config.settings import MirrorRule, Prune
from transfer.mirror.plan.planning import Claims, PlannedImage, must_copy, needed_by, pruning
from transfer.mirror.select.filters import TagFilter
from transfer.model.digest import Digest
from transfer.model.reference import Reference

SOURCE = Reference("source.example", "team/app")
TARGET = "target.example/app"
ONE, TWO, THREE = (Digest.of(text) for text in (b"1", b"2", b"3"))
SIGNATURE = f"{ONE.as_tag}.sig"


def mapping(**settings: Any) -> MirrorRule:
    return MirrorRule(source=str(SOURCE), targets=(TARGET,), **settings)


@pytest.mark.parametrize(
    ("expected", "held", "settings", "must"),
    [
        pytest.param(ONE, ONE, {}, False, id="the same"),
        pytest.param(ONE, TWO, {}, True, id="another"),
        pytest.param(ONE, None, {}, True, id="absent"),
        pytest.param(None, ONE, {"platforms": ("linux/amd64",)}, True, id="trimmed to what nobody knows"),
        pytest.param(TWO, TWO, {"platforms": ("linux/amd64",)}, False, id="trimmed to what is known"),
        pytest.param(ONE, ONE, {"referrers": True}, True, id="with referrers"),
        pytest.param(ONE, ONE, {"digest_tags": True}, True, id="with digest tags"),
    ],
)
def test_what_must_be_looked_at(expected: Digest | None, held: Digest | None, settings: Any, must: bool) -> None:
    assert must_copy(expected, held, mapping(**settings)) is must


@pytest.mark.parametrize(
    ("settings", "source_tags", "target_tags", "covered", "doomed"),
    [
        pytest.param({}, ["v1"], ["v1", "v2"], 2, ("v2",), id="what the source has no more"),
        pytest.param(
            {"tags": (TagFilter(glob=("v*",)),)}, ["v1"], ["v1", "v2", "x"], 2, ("v2",), id="only covered tags"
        ),
        pytest.param({}, ["v1", "v2"], ["v1", SIGNATURE, ONE.as_tag], 1, (), id="digest tags stay"),
        pytest.param({"backup": "old-{tag}"}, ["v1"], ["v1", "old-v1", "old-v0"], 1, (), id="backups stay"),
        pytest.param(
            {"backup": "{tag}.{digest}"}, ["v1"], ["v1", "v1.sha256-ab", "v2"], 2, ("v2",), id="by digest too"
        ),
        pytest.param(
            {"prune": Prune(limit=100, protect=("v2", "/w.+/"))}, [], ["v1", "v2", "w1"], 3, ("v1",), id="protected"
        ),
        pytest.param({"prune": Prune(enabled=False)}, [], ["v1"], 0, (), id="switched off"),
        pytest.param({"prune": None}, [], ["v1"], 0, (), id="not asked for"),
        pytest.param({}, [], ["v1", "written"], 2, ("v1",), id="what another mapping writes stays"),
    ],
)
def test_what_is_pruned(
    settings: Any, source_tags: list[str], target_tags: list[str], covered: int, doomed: tuple[str, ...]
) -> None:
    found = pruning(
        mapping(**{"prune": Prune(limit=100), **settings}),
        parse_target(TARGET),
        SOURCE,
        source_tags,
        target_tags,
        written={"written"},
    )
    assert (found.covered, found.doomed) == (covered, doomed)


@pytest.mark.parametrize(("limit", "fits"), [(19.9, False), (20.0, True), (100.0, True)])
def test_no_more_than_the_limit_is_pruned(limit: float, fits: bool) -> None:
    def decide() -> tuple[str, ...]:
        settings = mapping(prune=Prune(limit=limit))
        return pruning(settings, parse_target(TARGET), SOURCE, "abcdefgh", "abcdefghij").doomed

    if fits:
        assert decide() == ("i", "j")
        return
    with pytest.raises(InvalidConfig, match=r"2 of 10 tags are not at source\.example/team/app any more"):
        decide()


def test_what_a_tag_that_stays_needs_is_told_with_that_tag() -> None:
    staying = {"v1": {ONE}, "v2": {ONE, TWO}}
    assert needed_by([ONE, TWO, THREE], staying) == {ONE: "v1", TWO: "v2"}


def test_a_repository_is_clear_unless_more_may_be_written_there() -> None:
    claims, target = Claims(), Reference("target.example", "app", "v1")
    image = PlannedImage("mappings[0]", mapping(), SOURCE, (target,))
    assert claims.rivals(image) == {}
    assert claims.has(target)
    assert not claims.has(Reference("target.example", "app", "v2"))
    repository = Reference("target.example", "app")
    assert claims.is_clear(repository)
    claims.blur("target.example", "other")
    assert claims.is_clear(repository)
    claims.blur("target.example", None)
    assert not claims.is_clear(repository)
