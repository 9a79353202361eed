"""A chart of a record: for each scenario with others in it, how long ours took where the best other took 1."""

from pathlib import Path

from benchmarks.reports.evaluation import ratios
from benchmarks.values import BenchmarkFailed, Record

_OURS, _OTHERS = "#1f6feb", "#b8bec6"
# The best other is 1; much slower ones would push the bars that matter together.
_WIDEST = 2.0


def bars(record: Record) -> list[tuple[str, list[tuple[str, float]]]]:
    """By scenario that is compared by time, what each contender took, the best other than ours being 1; ours first."""
    return [
        (result.scenario.name, list(ratios(result).items()))
        for result in record.results
        if result.scenario.figure == "seconds" and ratios(result)
    ]


def draw(record: Record, file: Path) -> None:
    """
    Write it as SVG.

    Raises:
        BenchmarkFailed: matplotlib is not installed, or there is nothing to compare.
    """
    groups = bars(record)
    if not groups:
        raise BenchmarkFailed(f"no chart {file}: no other tool was compared")
    try:
        import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 - optional

        mpl.use("svg")
        from matplotlib import pyplot as plt  # type: ignore[import-not-found, unused-ignore] # noqa: PLC0415 - optional
    except ImportError:
        raise BenchmarkFailed("a chart needs matplotlib: pip install '.[bench]'") from None
    lines = [(name, who, ratio) for name, compared in groups for who, ratio in compared]
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.3 * len(lines)), layout="constrained")
    for row, (name, _, ratio) in enumerate(lines):
        first = not row or lines[row - 1][0] != name
        axes.barh(row, min(ratio, _WIDEST), color=_OURS if first else _OTHERS)
        axes.text(min(ratio, _WIDEST) + 0.02, row, f"{ratio:.2f}", va="center", fontsize=8)
    axes.set_yticks(range(len(lines)), [f"{name}  {who}" for name, who, _ in lines], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlim(0, _WIDEST + 0.2)
    axes.set_xlabel("time, the best other = 1.00 (shorter is better)")
    axes.margins(y=0.01)
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text: less than half the size
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
