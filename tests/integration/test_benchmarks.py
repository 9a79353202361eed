"""The benchmark harness as a program: its own processes, its exit code, what it leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "benchmarks/run.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_scenario_is_measured_recorded_and_cleaned_up(tmp_path: Path) -> None:
    scratch, record = tmp_path / "scratch", tmp_path / "record.json"
    scratch.mkdir()
    done = bench(scratch, "nothing-changed", "--runs", "1", "--json", str(record))
    assert done.returncode == 0, done.stderr
    assert "| nothing-changed |" in done.stdout
    (scenario,) = json.loads(record.read_text())["scenarios"]
    assert [run["requests"] for run in scenario["runs"]] == [{"BatchGetImage": 1}]
    assert scenario["corpus"].startswith("sha256:")
    assert list(scratch.iterdir()) == []


def test_an_unknown_scenario_is_a_usage_error_that_names_those_there_are(tmp_path: Path) -> None:
    done = bench(tmp_path, "eight-lagre")
    assert done.returncode == 2
    assert "no scenario eight-lagre: there are floor, eight-large" in done.stderr
