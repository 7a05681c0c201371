"""What a plan would cost, as `bnnlab plan` says it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from bnnlab.cli.output import duration
from bnnlab.report.numbers import plural
from bnnlab.sweep.estimate import Estimate

MIB = 2**20


def in_words(expected: Estimate) -> Iterator[str]:
    """The estimate in a sentence or two, with its spread and where it comes from; nothing where nothing is to come."""
    if not expected.runs:
        return
    if expected.known:
        of = "" if expected.known == expected.runs else f" for {expected.known:,} of {expected.runs:,} runs"
        low, high = duration(expected.low_s), duration(expected.high_s)
        spread = "" if low == high else f" ({low} to {high})"
        yield (
            f"to come{of}: about {duration(expected.seconds)} on {plural(expected.slots, 'slot')}{spread}, "
            f"{expected.bytes_kept / MIB:,.1f} MiB on disk, up to {expected.bytes_at_most / MIB:,.1f} MiB while it runs"
        )
        yield f"by {_origin(expected)}"
    if expected.unknown:
        kinds = plural(len(expected.unknown), "kind")
        yield (
            f"no finished run tells the time of {expected.runs - expected.known:,} runs ({kinds} of work); "
            "`bnnlab plan --pilot` trains a few steps of each"
        )


def _origin(expected: Estimate) -> str:
    parts = []
    if expected.finished_runs:
        parts.append(plural(expected.finished_runs, "finished run"))
    if expected.pilots:
        parts.append(f"{plural(expected.pilots, 'pilot')}, each alone on the machine")
    others = [host for host in expected.hosts if host != socket.gethostname()]
    return " and ".join(parts) + (f", taken on {', '.join(others)}" if others else "")


def as_json(expected: Estimate) -> dict[str, Any]:
    """The estimate for scripts: seconds and bytes."""
    return {
        "runs": expected.runs,
        "known": expected.known,
        "slots": expected.slots,
        "seconds": expected.seconds,
        "seconds_low": expected.low_s,
        "seconds_high": expected.high_s,
        "bytes_kept": expected.bytes_kept,
        "bytes_at_most": expected.bytes_at_most,
        "finished_runs": expected.finished_runs,
        "pilots": expected.pilots,
        "hosts": list(expected.hosts),
    }
