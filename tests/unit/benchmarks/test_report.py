"""What the benchmarks make of their figures: medians, ratios, verdicts, the table, what got worse."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.reports.chart import bars, draw
from benchmarks.reports.comparison import compare
from benchmarks.reports.evaluation import Verdict, ratios, verdicts
from benchmarks.reports.report import report, spread, table, unmet
from benchmarks.scenarios.special_runs import grown
from benchmarks.values import BenchmarkFailed, Contender, Record, Result, Run, Scenario

MACHINE = {"cores": 2, "cpu": "X", "memory_gib": 8.0, "kernel": "Linux 6", "python": "CPython 3.11", "load": 0.5}


def runs(*seconds: float, requests: dict[str, int] | None = None, **figures: float) -> list[Run]:
    return [Run(figures={"seconds": value, **figures}, requests=requests or {}) for value in seconds]


def result(ours: list[Run], *others: list[Run], **members: Any) -> Result:
    contenders = [Contender(name="transfer", runs=ours)]
    contenders += [Contender(name=name, runs=one) for name, one in zip(("skopeo", "crane"), others, strict=False)]
    scenario = Scenario(name="one", headline="It is fast.", do="push", **members)
    return Result(scenario=scenario, contenders=contenders, ceiling={"socket": 0.5})


def record(*results: Result, **machine: Any) -> Record:
    versions = {"skopeo": "skopeo version 1.9.3"}
    return Record(
        commit="c0ffee", machine={**MACHINE, **machine}, versions=versions, absent=["oras"], results=list(results)
    )


@pytest.mark.parametrize(
    ("others", "figure", "found"),
    [
        ([], "seconds", {}),
        ([runs(4.0)], "seconds", {"transfer": 0.5, "skopeo": 1.0}),
        ([runs(8.0), runs(4.0)], "seconds", {"transfer": 0.5, "skopeo": 2.0, "crane": 1.0}),
        ([runs(1.0), runs(4.0)], "seconds", {"transfer": 2.0, "skopeo": 1.0, "crane": 4.0}),
        ([[], runs(4.0)], "seconds", {"transfer": 0.5, "crane": 1.0}),
        ([runs(1.0, mib_per_cpu_second=25.0)], "mib_per_cpu_second", {"transfer": 4.0, "skopeo": 1.0}),
        ([runs(0.0)], "seconds", {}),
    ],
)
def test_a_ratio_is_to_the_best_of_the_others(others: list[list[Run]], figure: str, found: dict[str, float]) -> None:
    ours = runs(1.0, 9.0, 2.0, mib_per_cpu_second=100.0)
    assert ratios(result(ours, *others, figure=figure)) == found
    assert ratios(result(ours, *others), figure) == found


@pytest.mark.parametrize(
    ("expect", "text", "met"),
    [
        ({"seconds_max": 2}, "seconds 2.00, at most 2", True),
        ({"seconds_max": 1.5}, "seconds 2.00, at most 1.5", False),
        ({"speed_min": 3}, "speed 3.00, at least 3", True),
        ({"ratio_max": 0.5}, "ratio 0.50, at most 0.5", True),
        ({"ratio_max": 0.4}, "ratio 0.50, at most 0.4", False),
        ({"cpu_ratio_max": 0.8}, "cpu_ratio 0.75, at most 0.8", True),
        ({"cpu_ratio_max": 0.7}, "cpu_ratio 0.75, at most 0.7", False),
        ({"cpu_seconds_per_gib_max": 0.3}, "cpu_seconds_per_gib 0.30, at most 0.3", True),
        ({"cpu_seconds_per_gib_max": 0.2}, "cpu_seconds_per_gib 0.30, at most 0.2", False),
        ({"peak_mib_max": 96}, "peak_mib 100.00, at most 96", False),
        ({"speed_per_tag_min": 3}, "speed_per_tag not known, at least 3", None),
        ({"requests": {"PutImage": 1}}, "requests {'PutImage': 1}", True),
        ({"requests": {"PutImage": 2}}, "requests {'PutImage': 1}, expected {'PutImage': 2}", False),
    ],
)
def test_an_expectation_is_judged_by_the_median_and_memory_by_the_worst_run(
    expect: dict[str, Any], text: str, met: bool | None
) -> None:
    same = {"speed": 3.0, "cpu_seconds": 1.5, "cpu_seconds_per_gib": 0.3}
    ours = [
        Run(figures={"seconds": seconds, "peak_mib": peak, **same}, requests={"PutImage": 1})
        for seconds, peak in ((1.0, 80.0), (2.0, 100.0), (3.0, 60.0))
    ]
    # The fastest of the others is not the one that takes the least CPU.
    others = runs(4.0, cpu_seconds=3.0), runs(5.0, cpu_seconds=2.0)
    assert verdicts(result(ours, *others, expect=expect)) == [Verdict(text=text, met=met)]


def test_requests_that_have_a_bound_of_their_own_are_not_compared() -> None:
    ours = runs(1.0, requests={"PutImage": 1, "BatchGetImage": 2})
    expect = {"requests": {"PutImage": 1}, "requests_max": {"BatchGetImage": 1}}
    assert [verdict.met for verdict in verdicts(result(ours, expect=expect))] == [True, False]


def test_a_ratio_without_others_is_not_judged_and_not_unmet() -> None:
    alone = result(runs(1.0, cpu_seconds=1.0), expect={"ratio_max": 0.5, "cpu_ratio_max": 0.4})
    assert verdicts(alone) == [
        Verdict(text="ratio not known, at most 0.5", met=None),
        Verdict(text="cpu_ratio not known, at most 0.4", met=None),
    ]
    assert unmet(record(alone)) == []


def test_failing_is_not_meeting_anything() -> None:
    failed = result([], runs(1.0), expect={"ratio_max": 0.5})
    failed = replace(failed, contenders=[Contender(name="transfer", failed="exit code 1: no"), failed.contenders[1]])
    assert unmet(record(failed)) == ["one: transfer failed"]
    head, _, ours, _ = table([failed]).splitlines()
    assert ours.startswith("| one | transfer | failed |")
    assert ours.count("|") == head.count("|")
    assert "- transfer failed: exit code 1: no" in report(record(failed)).splitlines()


@pytest.mark.parametrize(
    ("values", "text"),
    [([1.0], "1.00"), ([1.0, 3.0, 2.0], "2.00 (1.00-3.00)"), ([12.34, 250.6], "131 (12-251)"), ([], "")],
)
def test_a_figure_is_shown_as_median_and_spread(values: list[float], text: str) -> None:
    assert spread(runs(*values), "seconds") == text


def test_the_report_has_a_row_for_each_and_says_what_is_met_where_and_against_what() -> None:
    ours = runs(1.0, 2.0, 3.0, requests={"HeadBlob": 3}, sent_mib=7.0, odd=4.0)
    text = report(record(result(ours, runs(4.0), expect={"ratio_max": 0.6, "seconds_max": 1})))
    head, rule, mine, theirs, *_ = text.splitlines()
    assert head.count("|") == rule.count("|") == mine.count("|") == theirs.count("|")
    assert mine == "| one | transfer | 2.00 (1.00-3.00) |  |  |  |  |  | 3 |  | 7.00 |  | 0.50 |  |"
    assert theirs == "| one | skopeo | 4.00 |  |  |  |  |  |  |  |  |  | 1.00 |  |"
    for line in (
        "one (3 runs): It is fast.",
        "- met: ratio 0.50, at most 0.6",
        "- NOT MET: seconds 2.00, at most 1",
        "- ceiling: socket 0.50 s",
        "- transfer asked: 3 HeadBlob",
        "- transfer: odd 4.00",
        "Not on PATH, so not compared: oras.",
    ):
        assert line in text.splitlines()
    assert text.endswith("commit c0ffee; skopeo version 1.9.3.")


def test_cpu_memory_and_floor_of_each_have_columns_and_what_the_floor_comes_from_a_line() -> None:
    cpu: dict[str, Any] = {"registry_cpu_seconds": 2.0, "link_cpu_seconds": 0.5}
    ours = runs(2.0, cpu_seconds=0.5, peak_mib=30.0, floor_seconds=1.5, **cpu)
    theirs = runs(4.0, cpu_seconds=1.0, peak_mib=23.0, floor_seconds=1.75, **cpu)
    head, _, *rows = table([result(ours, theirs)]).splitlines()
    assert head == (
        "| Scenario | Who | Seconds | Client CPU s | Client peak MiB | Registry CPU s | Link CPU s | Floor s "
        "| Requests | Connections | Sent MiB | Received MiB | Ratio | Client CPU ratio |"
    )
    assert rows == [
        "| one | transfer | 2.00 | 0.50 | 30.0 | 2.00 | 0.50 | 1.50 |  |  |  |  | 0.50 | 0.50 |",
        "| one | skopeo | 4.00 | 1.00 | 23.0 | 2.00 | 0.50 | 1.75 |  |  |  |  | 1.00 | 1.00 |",
    ]
    lines = report(record(result(ours, theirs))).splitlines()
    assert "- floor: 1.50 s, with all cores busy; CPU: client 0.50 s, registries 2.00 s, links 0.50 s" in lines
    assert not any(line.startswith("- floor") for line in report(record(result(runs(1.0)))).splitlines())


def test_counts_come_from_the_run_that_was_only_counted_where_the_timed_ones_have_none() -> None:
    one = result(runs(1.0))
    counted = replace(one.contenders[0], counts=Run(figures={"seconds": 9.0, "sent_mib": 7.0, "connections": 3.0}))
    assert table([replace(one, contenders=[counted])]).endswith(
        "| one | transfer | 1.00 |  |  |  |  |  |  | 3.00 | 7.00 |  |  |  |"
    )


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (runs(1.0, 1.2), runs(1.0, 1.2), []),
        (runs(1.0, 1.2), runs(0.5), []),
        (runs(1.0, 1.3), runs(1.25), []),
        (runs(1.0), runs(1.04), []),
        (runs(1.0, 1.2), runs(1.3), ["one: 1.30 s, was 1.10 (at most 1.20)"]),
        (runs(1.0, cpu_seconds=1.0), runs(1.0, cpu_seconds=2.0), ["one: 2.00 s of CPU, was 1.00 (at most 1.00)"]),
        (runs(1.0, peak_mib=60.0), runs(1.0, peak_mib=65.0), []),
        (runs(1.0, peak_mib=60.0), runs(1.0, peak_mib=70.0), ["one: 70 MiB at its peak, was 60"]),
        (runs(1.0, requests={"A": 3}), runs(1.0, requests={"A": 2, "B": 2}), ["one: 4 requests, were 3"]),
        (runs(1.0, requests={"A": 3}), runs(1.0, requests={"A": 2}), []),
    ],
)
def test_what_got_worse_is_said_beyond_what_runs_differ_by_anyway(
    old: list[Run], new: list[Run], lines: list[str]
) -> None:
    assert compare(record(result(old)), record(result(new))) == lines


def test_a_comparison_says_when_the_machine_is_another_and_passes_over_new_scenarios() -> None:
    old, new = record(result(runs(1.0))), record(result(runs(2.0)), cores=4)
    assert compare(old, new)[-1] == "but the machine is another one, so that times say little"
    assert compare(record(), new) == []


def test_one_more_image_costs_late_what_it_costs_early_where_growth_is_flat() -> None:
    flat = [
        Run(figures={"cpu_seconds": 1 + size * 0.01, "peak_mib": 60 + size / 1024}, requests={"A": 3 + 14 * size})
        for size in (10, 200, 2000)
    ]
    found = grown((10, 200, 2000), flat)
    assert {name: round(value, 6) for name, value in found.items()} == {
        "requests_growth": 1.0,
        "cpu_growth": 1.0,
        "kib_an_image": 1.0,
    }


def test_the_chart_shows_what_is_compared_by_time(tmp_path: Path) -> None:
    compared, alone = result(runs(1.0), runs(4.0)), result(runs(1.0))
    rate = result(runs(1.0, rate=1.0), runs(1.0, rate=1.0), figure="rate")
    assert bars(record(compared, alone, rate)) == [("one", [("transfer", 0.25), ("skopeo", 1.0)])]
    with pytest.raises(BenchmarkFailed, match="no other tool was compared"):
        draw(record(alone), tmp_path / "chart.svg")


def test_the_chart_is_an_svg(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install '.[bench]'")
    draw(record(result(runs(1.0), runs(4.0))), tmp_path / "chart.svg")
    assert "<svg" in (tmp_path / "chart.svg").read_text()
