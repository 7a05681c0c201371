"""What `bnnlab runs` and `bnnlab why` choose and print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from bnnlab.cli.tables import coloured, new_table, per_cent
from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.fingerprint import code_fingerprint
from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.sweep.housekeeping import leaves, nearest_neighbour
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.mistakes import nearest


@dataclass(frozen=True)
class Filter:
    """Which runs are wanted."""

    state: RunState | None
    keys: Collection[str] | None
    fields: Sequence[tuple[str, str]]

    @classmethod
    def read(cls, ledger: Ledger, state: str | None, study: str | None, where: Sequence[str]) -> Filter:
        """Raises ValueError that says what is allowed."""
        states = [s.value for s in RunState]
        if state is not None and state not in states:
            raise ValueError(_unknown("state", state, states))
        keys = None
        if study is not None:
            plans = list(ledger.saved_plans())
            studies = sorted({plan.study for plan in plans})
            if study not in studies:
                raise ValueError(_unknown("study", study, studies))
            keys = {run.run_key for plan in plans if plan.study == study for run in plan.all_runs}
        pairs = [word.partition("=") for word in where]
        for word, (path, sign, _) in zip(where, pairs, strict=True):
            if not path or not sign:
                raise ValueError(f"--where takes PATH=VALUE, not '{word}'")
        return cls(RunState(state) if state else None, keys, [(path, value) for path, _, value in pairs])

    def admits(self, record: RunRecord) -> bool:
        if self.state not in (None, record.state) or (self.keys is not None and record.run_key not in self.keys):
            return False
        found = dict(leaves(record.config)) if self.fields else {}
        return all(found.get(path) == value for path, value in self.fields)


def _unknown(what: str, value: str, allowed: Sequence[str]) -> str:
    hint = nearest(value, allowed)
    return f"unknown {what} '{value}'; allowed: {', '.join(allowed)}." + (f"  Did you mean '{hint}'?" if hint else "")


def runs_as_json(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """A row a run, for scripts."""
    return [
        {
            "run_key": record.run_key,
            "state": record.state.value,
            "epoch": len(record.epochs),
            "metrics": dict(record.metrics or (record.epochs[-1] if record.epochs else {})),
            "cause": record.cause,
            "provenance": dict(record.provenance) if record.provenance else None,
            "config": record.config.model_dump(mode="json"),
        }
        for record in records
    ]


def runs_table(records: Sequence[RunRecord]) -> None:
    """A row a run, for people."""
    table = new_table("runs of this ledger")
    for name in ("run key", "model", "data", "seed", "state", "epoch", "test top-1 %", "trained for", "cause"):
        table.add_column(name, justify="right" if name in ("seed", "epoch", "test top-1 %") else "left")
    for record in records:
        table.add_row(
            record.run_key,
            record.config.model.name,
            record.config.data.name,
            str(record.config.seed),
            coloured(record.state.value),
            f"{len(record.epochs)}/{record.config.training.epochs}",
            per_cent((record.metrics or {}).get("test/top1")),
            (record.provenance or {}).get("study", ""),
            record.cause or "",
        )
    console = Console()
    console.print(table)
    counts = Counter(record.state.value for record in records)
    console.print(f"{len(records)} runs: {', '.join(f'{n} {state}' for state, n in sorted(counts.items()))}")


def explain_run(ledger: Ledger, record: RunRecord) -> dict[str, Any]:
    """What became of a run, whether a study that asks for it reuses it, and its nearest neighbour."""
    asked = [plan for plan in ledger.saved_plans() if any(run.run_key == record.run_key for run in plan.all_runs)]
    neighbour = nearest_neighbour(ledger, record)
    directory = ledger.directory(record.run_key)
    failure = directory.failure() if record.state is RunState.FAILED else None
    return {
        "run_key": record.run_key,
        "state": record.state.value,
        "reuse": _reuse(record),
        "cause": record.cause,
        "detail": failure.detail if failure else None,
        "damaged_images": _damaged(directory),
        "log_tail": failure.log_tail if failure else None,
        "attempts": directory.attempts(),
        "asked_for_by": [f"{plan.study} ({plan.profile}, plan {plan.plan_id})" for plan in asked],
        "nearest": neighbour and {"run_key": neighbour[0].run_key, "state": neighbour[0].state.value},
        "differences": neighbour and {path: list(pair) for path, pair in neighbour[1].items()},
    }


def _damaged(directory: RunDirectory) -> dict[str, Any]:
    """How many images of its data set a finished run could not decode, and the first few of them."""
    provenance = (directory.result() or {}).get("provenance", {})
    return {"count": provenance.get("damaged_images", 0), "first": provenance.get("damaged", [])}


def _reuse(record: RunRecord) -> str:
    if record.config.run_key != record.run_key:
        return f"not reused: under today's numerics its configuration has the key {record.config.run_key}"
    if record.state is RunState.FINISHED:
        provenance = record.provenance or {}
        code = provenance.get("code", "unknown")
        same = "the same code as today's" if code == code_fingerprint() else f"code {code}, not today's"
        return f"reused by every study that asks for it: it is finished (for {provenance.get('study')}, by {same})"
    return {
        RunState.FAILED: "not reused: it failed; --retry-failed tries it again",
        RunState.RUNNING: "not yet: a process is training it, and a sweep that asks for it waits for that",
        RunState.PRUNED: "not reused: a search gave it up; a study that asks for it goes on where it stood",
        RunState.INTERRUPTED: f"not reused: {len(record.epochs)} of its {record.config.training.epochs} epochs are"
        " done; the next sweep that asks for it goes on from there",
    }.get(record.state, "not reused: it was never begun")


def print_explanation(found: dict[str, Any]) -> None:
    """For people."""
    print(f"run {found['run_key']}: {found['state']}, {found['attempts']} attempts")
    print(f"  {found['reuse']}")
    if found["cause"]:
        first, *more = (found["detail"] or found["cause"]).splitlines()
        print(f"  cause: {first}")
        for line in more:
            print(f"         {line}")
    if damaged := found["damaged_images"]["count"]:
        print(f"  {damaged} images of its data set could not be decoded and were left out:")
        for line in found["damaged_images"]["first"]:
            print(f"    {line}")
        if damaged > len(found["damaged_images"]["first"]):
            print(f"    and {damaged - len(found['damaged_images']['first'])} more")
    for plan in found["asked_for_by"] or ["no plan that was swept here"]:
        print(f"  asked for by {plan}")
    if found["log_tail"]:
        print("  the end of its log:")
        for line in found["log_tail"].splitlines():
            print(f"    {line}")
    if found["nearest"] is None:
        return
    print(f"nearest neighbour: {found['nearest']['run_key']} ({found['nearest']['state']}), which has")
    for path, (theirs, mine) in found["differences"].items():
        print(f"  {path}: {theirs} instead of {mine}")
