"""
The benchmarks: `python -m benchmarks [SCENARIO…]` runs the scenarios of bench.toml, ours and other tools side by side.

The table goes to stdout, all else to stderr.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from benchmarks.clients.processes import ROOT
from benchmarks.reports.chart import draw
from benchmarks.reports.comparison import compare
from benchmarks.reports.report import report, unmet
from benchmarks.scenarios import runner
from benchmarks.values import BenchmarkFailed, Record, Scenario, load

_EXAMPLES = """\
examples:
  python -m benchmarks                                   all of them, about a quarter of an hour
  python -m benchmarks push-small-tls --runs 3           one of them
  python -m benchmarks --json new.json --compare old.json
  python -m benchmarks --read new.json --chart chart.svg
  python -m benchmarks push-large-plain --profile pages

exit codes:
  0 done   1 it could not be measured, ours failed, or with --strict, something is not met or got worse   2 usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        if options.profile:
            runner.profile(_chosen(options), options.profile)
            return 0
        record = _record(options)
        print(report(record), flush=True)
        worse = _write(record, options)
    except BenchmarkFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted; nothing was written", file=sys.stderr)
        return 130
    failed = any(result.contenders[0].failed for result in record.results)
    return int(failed or (options.strict and bool(worse or unmet(record))))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run the scenarios of bench.toml, ours and other tools that are on PATH side by side.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all by default")
    parser.add_argument("--file", type=Path, default=ROOT / "bench.toml", help="instead of bench.toml")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each, instead of the file's number")
    parser.add_argument("--quick", action="store_true", help="one run each of small images, to see that it works")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when something is not met or got worse")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole record there")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw the ratios there (needs matplotlib)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="say what got worse since that record")
    parser.add_argument("--read", type=Path, metavar="FILE", help="take this record instead of measuring")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="only write a page of pyinstrument for each")
    options = parser.parse_args(arguments)
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def _record(options: argparse.Namespace) -> Record:
    return read_record(options.read) if options.read else runner.measure(_chosen(options))


def _chosen(options: argparse.Namespace) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in load(options.file)}
    if unknown := sorted(set(options.scenarios) - set(known)):
        raise BenchmarkFailed(f"no scenario {', '.join(unknown)}: there are {', '.join(known)}")
    chosen = [known[name] for name in options.scenarios or known]
    chosen = [scenario.quick() for scenario in chosen] if options.quick else chosen
    return [replace(scenario, runs=options.runs or scenario.runs) for scenario in chosen]


def read_record(file: Path) -> Record:
    """
    Return a record that `--json` wrote.

    Raises:
        BenchmarkFailed: it is none.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError) as error:
        raise BenchmarkFailed(f"{file}: not a record of benchmarks: {error}") from None


def _write(record: Record, options: argparse.Namespace) -> list[str]:
    """Write what was asked for; what got worse."""
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    if options.chart:
        draw(record, options.chart)
    worse = compare(read_record(options.compare), record) if options.compare else []
    if options.compare:
        print("\n".join(["", "Worse than before:", *(f"- {line}" for line in worse or ["nothing"])]))
    return worse


if __name__ == "__main__":
    sys.exit(main())
