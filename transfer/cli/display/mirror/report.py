"""Output of `transfer mirror`: a line for each image, then a table or JSON."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from transfer.cli.display.option_names import spelled
from transfer.cli.display.text import align, count, display, format_size, json_text

if TYPE_CHECKING:
    from transfer.mirror import ImageReport, MirrorReport
    from transfer.mirror.run.report import Status

_DONE, _TO_DO = ("sent", "mounted"), ("to send", "to mount")
_ORDER: "tuple[Status, ...]" = ("copied", "planned", "pruned", "unchanged", "stopped", "failed")


def image_line(image: "ImageReport") -> str | None:
    """Return the line that an image is worth when it ends; None for one that had not changed."""
    if image.status == "unchanged":
        return None
    source = f"{display(image.source)} -> " if image.source else ""
    line = f"{image.status}: {source}{display(image.target)}"
    if image.status == "failed":
        return f"{line}: {display(spelled(image.message or '', image.side))} ({image.mapping})"
    moved = [f"{format_size(size)} {what}" for what, size in _moved(image) if size]
    return ", ".join([line, *moved, *map(display, image.notes)])


def _moved(image: "ImageReport") -> tuple[tuple[str, int], ...]:
    sent, mounted = _TO_DO if image.status == "planned" else _DONE
    return (sent, image.uploaded), (mounted, image.mounted), ("there", image.present)


def only(report: "MirrorReport", statuses: frozenset[str]) -> "MirrorReport":
    """Return a report with the images of these statuses alone."""
    return replace(
        report,
        images=tuple(one for one in report.images if one.status in statuses),
        mistakes=tuple(one for one in report.mistakes if one.status in statuses),
    )


def report_lines(report: "MirrorReport") -> Iterator[str]:
    """
    Yield the table, a row for each image, failures last, and the findings of a dry run; nothing without an image.

    Why an image failed is said once, on stderr, when it does.
    """
    if not report.images:
        return
    images = sorted(report.images, key=lambda one: (_ORDER.index(one.status), one.target))
    rows: list[tuple[str, ...]] = [("STATUS", "TARGET", "SOURCE", "SENT", "MOUNTED", "THERE", "REQUESTS", "SECONDS")]
    rows += [_row(image) for image in images]
    yield from align(rows)
    for image in images:
        if image.status == "planned" and (plan := _plan(image)):
            yield f"{display(image.mapping)}: {display(image.target)}: {plan}"


def _plan(image: "ImageReport") -> str:
    """Yield the lines of a dry run: the requests by kind, and notes."""
    return ", ".join([*(f"{number} {kind}" for kind, number in image.calls.items()), *map(display, image.notes)])


def _row(image: "ImageReport") -> tuple[str, ...]:
    sizes = [format_size(size).replace(" ", "") if size else "-" for _, size in _moved(image)]
    return (
        image.status,
        display(image.target),
        display(image.source) or "-",
        *sizes,
        str(image.requests or "-"),
        f"{image.seconds:.1f}",
    )


def summary(report: "MirrorReport") -> str:
    """Return one line: how many images of each kind, bytes and seconds."""
    parts = [f"{report.counts[status]} {status}" for status in _ORDER if report.counts.get(status)]
    sent, mounted = (sum(getattr(one, name) for one in report.images) for name in ("uploaded", "mounted"))
    sending, mounting = _TO_DO if report.counts.get("planned") else _DONE
    parts += [f"{format_size(sent)} {sending}"] if sent else []
    parts += [f"{format_size(mounted)} {mounting}"] if mounted else []
    parts += [f"at least {report.quota_seconds:.0f} s by ECR's quotas"] if report.quota_seconds >= 1 else []
    total = count(len(report.images) + len(report.mistakes), "image")
    return f"{total}: {', '.join([*parts, f'{report.seconds:.1f} s'])}"


def report_document(report: "MirrorReport") -> dict[str, Any]:
    """Return the report as a JSON document: sizes in bytes, times in seconds."""
    return {
        "counts": dict(report.counts),
        "seconds": report.seconds,
        "quota_seconds": report.quota_seconds,
        "stopped": report.stopped,
        "warnings": report.warnings,
        "mistakes": [image_document(one) for one in report.mistakes],
        "images": [image_document(one) for one in report.images],
    }


def write_report(file: Path, document: dict[str, Any]) -> None:
    """Write a report, so that who reads meanwhile has the old one or the new one whole; a pipe takes it as it is."""
    text = json_text(document) + "\n"
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    place = file.resolve()
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def image_document(image: "ImageReport") -> dict[str, Any]:
    """Return what became of an image at one target, as a JSON document."""
    members: dict[str, Any] = msgspec.to_builtins(image, enc_hook=str)
    counts = members.pop("blobs")
    ways = ("uploaded", "mounted", "present")
    totals = {name: {"count": counts.get(name, 0), "size": members[name]} for name in ways}
    failure = {"class": members.pop("error"), "message": members["message"], "side": members.pop("side")}
    return {**members, **totals, "error": failure if failure["class"] else None}
