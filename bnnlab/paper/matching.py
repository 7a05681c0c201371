"""Which published row a run is to be compared with, and what sets the two apart.

A row is found by what its table varies (`Table.identity`) and the network's name. Everything else that the
row states, and every option of the network that it leaves at its default, is protocol: where the run
differs there, the row is shown with the differences and is not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bnnlab.experiment.config import RunConfig
from bnnlab.models.config import OPTIONS, ModelOptions, resolve
from bnnlab.paper.claims import BoundClaim, CellsClaim, Claim, EffectClaim, OrderClaim
from bnnlab.paper.observation import Observation
from bnnlab.paper.published import TABLES, OneOf, Row, Table

_WORDS = {
    "data.name": "data",
    "training.optimizer.name": "optimizer",
    "training.optimizer.lr": "learning rate",
    "training.schedule.name": "schedule",
}
_KINDS = ("data", "training.optimizer", "training.schedule")
"""Where the name differs, the options beside it are of another kind and say nothing."""


@dataclass(frozen=True)
class Match:
    """A published row beside a run."""

    table: Table
    row: Row
    reasons: tuple[str, ...]
    """What the run does otherwise, one phrase each: "epochs is 12, not 150"."""

    @property
    def comparable(self) -> bool:
        """Whether the run follows the row's protocol."""
        return not self.reasons


def match(config: RunConfig, table: str | None = None) -> Match | None:
    """The row that a run is to be compared with; None where no table has its like.

    Args:
        table: the id of the one table to look in. None: of all tables, the row with the fewest differences.
    """
    return _best(flatten(config.model_dump(mode="json")), (TABLES[table],) if table else tuple(TABLES.values()))


def paper_metrics(config: RunConfig, metrics: Mapping[str, float]) -> dict[str, float]:
    """`paper/top1` and `paper/delta` of a finished run (fractions); empty unless a row is comparable."""
    found = match(config)
    best = metrics.get("test/top1_best")
    if found is None or not found.comparable or found.row.top1 is None or best is None:
        return {}
    return {"paper/top1": found.row.top1, "paper/delta": best - found.row.top1}


def published_for_model(name: str, options: Mapping[str, Any] | ModelOptions | None = None) -> list[dict[str, Any]]:
    """What was published about a network, in the order of the tables: accuracies as fractions.

    Args:
        options: its options where they are not the defaults.
    """
    if isinstance(options, ModelOptions):
        options = options.model_dump(mode="json")
    ours = flatten({"model": OPTIONS[name].model_validate({**(options or {}), "name": name}).model_dump(mode="json")})
    stem = ours.pop("model.stem", "auto")
    found = []
    for table in TABLES.values():
        for index, row in enumerate(table.rows):
            if row.config.get("model.name") != name or row.top1 is None:
                continue
            theirs = _expected(table.id, index)
            if stem != "auto" and theirs.get("model.stem") != stem:
                continue
            if any(theirs.get(path) != value for path, value in ours.items() if _tells_networks_apart(path)):
                continue
            entry = {
                "table": table.id,
                "dataset": row.config["data.name"],
                "stem": theirs.get("model.stem"),
                "top1": row.top1,
                "top5": row.top5,
            }
            found.append(entry | {"source": row.source, "status": row.status, "note": row.note})
    return found


def why_not_comparable(claim: Claim, observations: Sequence[Observation], table: str) -> tuple[str, ...]:
    """What sets the runs that a claim is about apart from the published ones, each difference once."""
    reasons: dict[str, None] = {}
    for observation in observations:
        if observation.record is None or not _is_about(claim, observation):
            continue
        found = match(observation.record.config, table)
        unlike = (f"{table} has no row for this network",)
        reasons.update(dict.fromkeys(unlike if found is None else found.reasons))
    return tuple(reasons)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping by dotted path; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _tells_networks_apart(path: str) -> bool:
    return not path.startswith("model.binarization.") or path == "model.binarization.scaling"


def _best(run: Mapping[str, Any], tables: Sequence[Table]) -> Match | None:
    matches = []
    for table in tables:
        for index, row in enumerate(table.rows):
            if row.config.get("model.name") != run["model.name"]:
                continue
            expected = _expected(table.id, index)
            if all(_agrees(expected.get(path), run.get(path)) for path in table.identity):
                matches.append(Match(table, row, _differences(run, expected, row.schedule_known)))
    return min(matches, key=lambda found: len(found.reasons), default=None)


def _differences(run: Mapping[str, Any], expected: Mapping[str, Any], schedule_known: bool) -> tuple[str, ...]:
    other_kind = {group for group in _KINDS if not _agrees(expected.get(f"{group}.name"), run.get(f"{group}.name"))}
    reasons = []
    for path, value in expected.items():
        group, _, last = path.rpartition(".")
        if _agrees(value, run.get(path)) or (group in other_kind and last != "name"):
            continue
        word = _WORDS.get(path, last.replace("_", " "))
        reasons.append(f"{word} is {_show(run.get(path))}, not {_show(value)}")
    if not schedule_known:
        reasons.append("how the published network was trained is not known")
    return tuple(reasons)


@cache
def _expected(table: str, index: int) -> Mapping[str, Any]:
    """What a row says of a configuration: what it states, and where it is silent the network's defaults."""
    stated = TABLES[table].rows[index].config
    name = stated.get("model.name")
    if name not in OPTIONS:
        return stated
    model: dict[str, Any] = {}
    for path, value in stated.items():
        if path.startswith("model.") and not isinstance(value, OneOf):
            *parents, last = path.split(".")[1:]
            at = model
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = value
    image = (3, 32, 32) if stated["data.name"] == "cifar10" else (3, 224, 224)
    resolved = resolve(OPTIONS[name].model_validate(model), image)
    return {**flatten({"model": resolved.model_dump(mode="json")}), **stated}


def _agrees(expected: Any, actual: Any) -> bool:
    if isinstance(expected, OneOf):
        return any(_agrees(value, actual) for value in expected.values)
    return bool(expected == actual)


def _show(value: Any) -> str:
    if isinstance(value, OneOf):
        return " or ".join(map(_show, value.values))
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    return "unset" if value is None else str(value)


def _is_about(claim: Claim, run: Observation) -> bool:
    match claim:
        case EffectClaim():
            levels = {claim.axis: (claim.treatment, claim.control)}
            if claim.interaction_with is not None:
                levels[claim.interaction_with.axis] = claim.interaction_with.levels
            return run.within({**claim.within, **levels})
        case CellsClaim():
            cells: Sequence[Mapping[str, str]] = (claim.treatment, claim.control)
        case OrderClaim():
            cells = claim.order
        case BoundClaim():
            return claim.cell.items() <= run.axes.items()
    return run.within(claim.within) and any(cell.items() <= run.axes.items() for cell in cells)
