"""What the benchmarks make of their figures, and that bench.toml can be run."""

from typing import Any

import pytest

from benchmarks.processes import ROOT
from benchmarks.report import spread, table, unmet
from benchmarks.scenarios import KINDS, Run, Scenario, load

RUN = Run({"seconds": 2.0, "peak_mib": 100.0}, {"PutImage": 1, "BatchGetImage": 1})


@pytest.mark.parametrize(
    ("expect", "lines"),
    [
        ({}, []),
        ({"seconds_max": 2, "peak_mib_min": 100}, []),
        ({"seconds_max": 1.5}, ["seconds is 2.00, expected at most 1.5"]),
        ({"peak_mib_min": 101}, ["peak_mib is 100.00, expected at least 101"]),
        ({"requests": {"PutImage": 1, "BatchGetImage": 1}}, []),
        ({"requests": {"PutImage": 1}, "requests_max": {"BatchGetImage": 1}}, []),
        ({"requests": {"PutImage": 1}}, ["requests are {'PutImage': 1, 'BatchGetImage': 1}, expected {'PutImage': 1}"]),
        ({"requests_max": {"PutImage": 0}}, ["1 requests PutImage, expected at most 0"]),
        ({"requests_max": {"DeleteRepository": 0}}, []),
    ],
)
def test_what_was_expected_and_did_not_happen_is_named(expect: dict[str, Any], lines: list[str]) -> None:
    assert unmet(expect, RUN) == lines


@pytest.mark.parametrize(
    ("values", "text"),
    [([1.0], "1.00"), ([1.0, 3.0, 2.0], "2.00 (1.00-3.00)"), ([12.34, 250.6], "131 (12.3-251)"), ([], "")],
)
def test_a_figure_is_shown_as_median_and_spread(values: list[float], text: str) -> None:
    assert spread([Run({"seconds": value}) for value in values], "seconds") == text


def test_the_table_has_a_row_and_a_headline_for_each_scenario() -> None:
    scenario = Scenario(name="one", headline="It is fast.", kind="push", runs=1)
    text = table([(scenario, [RUN])])
    header, rule, row, *_ = text.splitlines()
    assert row.startswith("| one | 2.00 |")
    assert header.count("|") == rule.count("|") == row.count("|")
    assert "`one` (1 runs): It is fast." in text


def test_every_scenario_can_be_run_and_expects_what_it_measures() -> None:
    scenarios = load(ROOT / "bench.toml")
    assert {"floor", "eight-large", "one-huge", "many-small", "nothing-changed", "resume"} <= {
        s.name for s in scenarios
    }
    for scenario in scenarios:
        assert scenario.kind in KINDS
        assert scenario.headline.endswith(".")
        assert scenario.expect
        assert all(name == "requests" or name.endswith(("_max", "_min")) for name in scenario.expect)
