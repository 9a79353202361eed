"""What bench.toml may say, and that the one of this project can be run."""

from pathlib import Path

import pytest

from benchmarks.clients.processes import ROOT
from benchmarks.scenarios.images import write_layout
from benchmarks.scenarios.runner import KINDS
from benchmarks.values import MIB, BenchmarkFailed, Image, Link, Scenario, load

# The table of what is promised: scenario, bounds.
PROMISED = {
    "push-small-tls": {"ratio_max": 0.27, "peak_mib_max": 48},
    "mirror-tls": {"ratio_max": 0.28, "peak_mib_max": 56},
    "mirror-again-tls": {"ratio_max": 0.50, "peak_mib_max": 96},
    "push-large-tls": {"ratio_max": 0.82, "cpu_ratio_max": 0.55, "peak_mib_max": 48},
    "copy-large-tls": {"ratio_max": 0.82, "cpu_ratio_max": 0.65, "peak_mib_max": 48},
    "copy-capped": {"ratio_max": 0.18, "peak_mib_max": 64},
    "push-large-plain": {"ratio_max": 1.03, "cpu_seconds_per_gib_max": 0.35, "peak_mib_max": 40},
    "copy-large-plain": {"ratio_max": 1.00, "cpu_ratio_max": 1.00, "peak_mib_max": 40},
    "push-library": {"ratio_max": 1.00, "peak_mib_max": 96},
    "start": {"seconds_max": 0.10, "peak_mib_max": 96},
    "start-mirror": {"seconds_max": 0.25, "peak_mib_max": 96},
    "ecr-parts": {"ratio_min": 3.5, "peak_mib_max": 64},
    "registry-push": {"ratio_max": 0.8, "peak_mib_max": 96},
    "registry-heads": {"heads_per_cpu_second_min": 2000, "peak_mib_max": 96},
    "many-tags": {"requests_per_tag_max": 1.1, "peak_mib_max": 96},
}


def written(folder: Path, text: str) -> Path:
    file = folder / "bench.toml"
    file.write_text(text)
    return file


def test_every_scenario_of_the_project_can_be_run_and_expects_what_is_promised() -> None:
    scenarios = {scenario.name: scenario for scenario in load(ROOT / "bench.toml")}
    assert {name: scenarios[name].expect for name in PROMISED} == PROMISED
    for scenario in scenarios.values():
        assert scenario.do in KINDS
        assert scenario.headline.endswith(".")
        assert all(name == "requests" or name.endswith(("_max", "_min")) for name in scenario.expect)


def test_what_a_table_leaves_out_comes_from_the_defaults_which_it_may_overrule(tmp_path: Path) -> None:
    text = """
[defaults.expect]
peak_mib_max = 96
[one]
headline = "It is fast."
do = "push"
target = "docker-registry"
image = { layers = 60, layer_kib = 50 }
link = { round_trip_ms = 40, at = "target" }
expect = { ratio_max = 0.15, peak_mib_max = 128 }
"""
    (one,) = load(written(tmp_path, text))
    assert one.expect == {"ratio_max": 0.15, "peak_mib_max": 128}
    assert one.image.size == one.moved == 60 * 50 * 1024
    assert one.link == Link(round_trip_ms=40, at="target")
    assert one.runs == 5
    assert one.contenders == ("transfer", "skopeo", "crane", "regctl", "oras")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('do = "push"', "missing required field `headline`"),
        ('headline = "x."\ndo = "pull"', "Invalid enum value 'pull' - at `$.do`"),
        ('headline = "x."\ndo = "push"\nround_trip = 4', "unknown field `round_trip`"),
        ('headline = "x."\ndo = "push"\nruns = "many"', "Expected `int`, got `str` - at `$.runs`"),
        ('headline = "x."\ndo = "push"\nruns = 0', "runs must be at least 1"),
        (
            'headline = "x."\ndo = "push"\ntarget = "https://registry.example"\nlink = { round_trip_ms = 4 }',
            "a link cannot lie before a URL",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_named_with_what_is_wrong(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(BenchmarkFailed, match=r"\[one\]: ") as caught:
        load(written(tmp_path, f"[one]\n{table}\n"))
    assert says in str(caught.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match=r"bench\.toml: "):
        load(written(tmp_path, "[one"))


@pytest.mark.parametrize(
    ("members", "contenders"),
    [
        ({"do": "push", "target": "ecr"}, ("transfer",)),
        ({"do": "copy", "source": "ecr", "target": "embedded"}, ("transfer",)),
        ({"do": "mirror", "tools": ("transfer", "crane")}, ("transfer", "crane")),
        ({"do": "parts"}, ("transfer", "boto3")),
        ({"do": "registries"}, ("embedded", "docker-registry")),
    ],
)
def test_who_takes_part_follows_from_what_is_done(members: dict[str, str], contenders: tuple[str, ...]) -> None:
    assert Scenario(name="one", headline="It is.", **members).contenders == contenders  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("members", "moved"),
    [
        ({"do": "push"}, 2 * MIB),
        ({"do": "push", "again": True}, 0),
        ({"do": "version"}, 0),
        ({"do": "mirror", "image": Image(layers=2, layer_kib=1024, tags=3, base_mib=5)}, 11 * MIB),
        ({"do": "mirror", "image": Image(layers=2, layer_kib=1024, tags=3, base_mib=5, same=True)}, 7 * MIB),
    ],
)
def test_what_has_to_be_moved_counts_what_is_shared_once(members: dict[str, object], moved: int) -> None:
    image = {"image": Image(layers=2, layer_kib=1024)}
    assert Scenario(name="one", headline="It is.", **{**image, **members}).moved == moved  # type: ignore[arg-type]


def test_quick_is_one_small_run_of_which_nothing_is_expected() -> None:
    for scenario in load(ROOT / "bench.toml"):
        quick = scenario.quick()
        assert (quick.runs, quick.expect) == (1, {})
        assert quick.image.size <= 14 * MIB
        assert (quick.do, quick.target, quick.link) == (scenario.do, scenario.target, scenario.link)


def test_images_come_from_their_seed_and_share_their_base(tmp_path: Path) -> None:
    shape = Image(layers=2, layer_kib=3, tags=3, base_mib=1)
    one, again = (write_layout(tmp_path / name, shape) for name in ("one", "again"))
    other = write_layout(tmp_path / "other", Image(layers=2, layer_kib=3, tags=3, base_mib=1, seed=1))
    assert one.tags == again.tags
    assert len(set(one.tags.values())) == 3
    assert not set(one.tags.values()) & set(other.tags.values())
    assert len(set.intersection(*(set(names) for names in one.blobs.values()))) == 1
    layers = {digest for names in one.blobs.values() for digest in names[1:]}
    assert sum(one.file(digest).stat().st_size for digest in layers) == shape.size
    assert all(one.file(digest).read_bytes().startswith(b"\x1f\x8b") for digest in layers)


def test_tags_may_all_hold_the_same_image(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", Image(layers=1, layer_kib=1, tags=4, same=True))
    assert list(layout.tags) == ["v0", "v1", "v2", "v3"]
    assert len(set(layout.tags.values())) == 1
