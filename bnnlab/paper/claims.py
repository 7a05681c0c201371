"""The claims of a study: what is expected to hold, by how much, and what was published about it.

Four kinds, told apart by their keys: the effect of one axis (`axis`), a difference between named cells
(`treatment` and `control` as cells), a bound on a metric (`cell`), an ordering of cells (`order`).
A claim is data: `bnnlab.paper.verdicts` judges it. Imports neither torch nor scipy.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from bnnlab.paper.metrics import UNIT_SCALES, Unit, describe_metric
from bnnlab.paper.observation import cell_label, level_label
from bnnlab.values import Frozen


def _as_levels(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _as_label(value: Any) -> Any:
    return level_label(value) if isinstance(value, bool | int | float | None) else value


_LEVEL = {"type": ["string", "number", "boolean", "null"]}
Level = Annotated[str, BeforeValidator(_as_label), WithJsonSchema(_LEVEL)]
Cell = Annotated[dict[str, Level], Field(min_length=1)]
"""Levels of some axes; what it does not name is averaged over."""
Part = dict[
    str,
    Annotated[
        tuple[Level, ...],
        BeforeValidator(_as_levels),
        Field(min_length=1),
        WithJsonSchema({"anyOf": [_LEVEL, {"type": "array", "items": _LEVEL, "minItems": 1}]}),
    ],
]
"""A part of the grid: for some axes the one level, or the list of levels, to look at."""
Status = Literal["confirmed", "partly", "recalled"]


class Published(Frozen):
    """What was published about a claim, with where it stands and how surely it was read."""

    difference: float | None = None
    value: float | None = None
    unit: Unit | None = None
    """None: the unit of the expectation."""
    source: str
    status: Status | None = None
    """confirmed: read in the source; partly: in part; recalled: from memory only; None: not stated."""

    @model_validator(mode="after")
    def _one_figure(self) -> Published:
        if (self.difference is None) == (self.value is None):
            raise ValueError("published gives either a difference or a value, and one of them")
        return self

    @property
    def figure(self) -> float:
        """The difference or the value, in the unit it is written in."""
        figure = self.difference if self.difference is not None else self.value
        if figure is None:
            raise ValueError("published gives neither a difference nor a value")
        return figure


class Expectation(Frozen):
    """What must be true for the claim to hold: an open interval for the difference (or, for a bound, the
    value)."""

    direction: Literal["increase", "decrease"] | None = None
    at_least: float | None = None
    """Lower limit of the signed difference treatment - control; 0.5 is "gains at least 0.5"."""
    at_most: float | None = None
    """Upper limit of the signed difference; 0.5 is "gains no more than 0.5" (a non-inferiority margin)."""
    equivalent_within: float | None = Field(default=None, gt=0)
    """The difference is smaller than this, whichever its sign."""
    around: Literal["zero", "published"] = "zero"
    """published: the limits are relative to the published figure, a claim to reproduce it. It can then be
    judged only where the protocol is the published one."""
    unit: Unit = "points"

    @model_validator(mode="after")
    def _can_be_met(self) -> Expectation:
        margins = (self.at_least, self.at_most, self.equivalent_within)
        if self.direction is None and all(margin is None for margin in margins):
            raise ValueError("expect needs a direction, at_least, at_most or equivalent_within")
        if self.equivalent_within is not None and (
            self.direction or self.at_least is not None or self.at_most is not None
        ):
            raise ValueError("equivalent_within stands alone: it has no direction and no other limit")
        low, high = self._limits()
        if low >= high:
            raise ValueError(
                "nothing can meet this expectation: limits apply to the signed difference "
                "treatment - control, so 'falls by at least 1' is written at_most: -1"
            )
        return self

    def _limits(self) -> tuple[float, float]:
        if self.equivalent_within is not None:
            return -self.equivalent_within, self.equivalent_within
        infinity = float("inf")
        low = max(
            -infinity if self.at_least is None else self.at_least,
            0.0 if self.direction == "increase" else -infinity,
        )
        high = min(
            infinity if self.at_most is None else self.at_most,
            0.0 if self.direction == "decrease" else infinity,
        )
        return low, high

    def region(self, published: float | None = None) -> tuple[float, float]:
        """The open interval (low, high) in which the claim holds, in the unit of records (fractions, MiB,
        ...).

        Args:
            published: the published figure in the unit of records; used where the limits are around it.
        Raises:
            ValueError: the limits are around a published figure and there is none.
        """
        low, high = (limit * UNIT_SCALES[self.unit] for limit in self._limits())
        if self.around == "zero":
            return low, high
        if published is None:
            raise ValueError("the limits are around a published figure, and none is given")
        return published + low, published + high


class _ClaimBase(Frozen):
    """What every claim has."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    text: str = Field(min_length=1)
    metric: str = "test/top1"
    expect: Expectation
    published: Published | None = None

    def published_figure(self) -> float | None:
        """The published difference or value in the unit of records; None where nothing is published."""
        if self.published is None:
            return None
        return self.published.figure * UNIT_SCALES[self.published.unit or self.expect.unit]

    def region(self) -> tuple[float, float]:
        """Where the difference (or value) must lie for the claim to hold, in the unit of records."""
        return self.expect.region(self.published_figure())

    @model_validator(mode="after")
    def _published_where_needed(self) -> _ClaimBase:
        if self.expect.around == "published" and self.published is None:
            raise ValueError("expect is around the published figure, and the claim gives no 'published'")
        return self


class Interaction(Frozen):
    """Whether an effect depends on a second axis: its size at the first level minus its size at the
    second."""

    axis: str
    levels: tuple[Level, Level]


class EffectClaim(_ClaimBase):
    """treatment - control along one axis, averaged over the other axes."""

    kind: Literal["effect"] = "effect"
    axis: str
    treatment: Level
    control: Level
    within: Part = Field(default_factory=dict)
    interaction_with: Interaction | None = None


class CellsClaim(_ClaimBase):
    """treatment - control between two named cells, averaged over the axes that they do not name."""

    kind: Literal["cells"] = "cells"
    treatment: Cell
    control: Cell
    within: Part = Field(default_factory=dict)


class BoundClaim(_ClaimBase):
    """The mean of a metric in one cell, against limits."""

    kind: Literal["bound"] = "bound"
    cell: dict[str, Level]

    @model_validator(mode="after")
    def _has_limits(self) -> BoundClaim:
        if self.expect.direction is not None:
            raise ValueError("a bound has no direction: give at_least or at_most")
        if self.expect.equivalent_within is not None and self.expect.around == "zero":
            raise ValueError("equivalent_within needs a figure to be near to: add 'around: published'")
        return self


class OrderClaim(_ClaimBase):
    """A metric that increases, or decreases, at each step along a list of cells."""

    kind: Literal["order"] = "order"
    order: tuple[Cell, ...] = Field(min_length=2)
    within: Part = Field(default_factory=dict)

    @model_validator(mode="after")
    def _only_a_direction(self) -> OrderClaim:
        expect = self.expect
        if expect.direction is None or (expect.at_least, expect.at_most) != (None, None):
            raise ValueError("an ordering expects a direction (increase or decrease along the list) and no limits")
        return self


_KINDS = ("effect", "bound", "order", "cells")


def _kind(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return getattr(value, "kind", None)
    if value.get("kind") in _KINDS:
        return str(value["kind"])
    for key, kind in (("axis", "effect"), ("cell", "bound"), ("order", "order")):
        if key in value:
            return kind
    return "cells" if isinstance(value.get("treatment"), Mapping) else "effect" if "treatment" in value else None


Claim = Annotated[
    Annotated[EffectClaim, Tag("effect")]
    | Annotated[CellsClaim, Tag("cells")]
    | Annotated[BoundClaim, Tag("bound")]
    | Annotated[OrderClaim, Tag("order")],
    Discriminator(
        _kind,
        custom_error_type="claim_kind",
        custom_error_message=(
            "a claim needs 'axis' with treatment and control (an effect), treatment and control as cells "
            "(a difference), 'cell' (a bound) or 'order' (an ordering)"
        ),
    ),
]
"""One claim of a study."""


class Mistake(NamedTuple):
    """A mistake in a claim that shows only beside the axes of its study."""

    path: tuple[str | int, ...]
    """From the root of the study: ("claims", 0, "treatment")."""
    message: str
    allowed: tuple[str, ...] = ()
    nearest: str | None = None


def check_claims(claims: Sequence[Claim], axes: Mapping[str, Sequence[str]], metrics: Collection[str]) -> list[Mistake]:
    """Every mistake that a study's axes and metrics reveal in its claims: none of them may be planned.

    Args:
        claims: the study's claims, in the order of its file.
        axes: the study's axes, each with the labels of its levels.
        metrics: the names of the final metrics that a run records.
    """
    mistakes: list[Mistake] = []
    first_with_id: dict[str, int] = {}
    for index, claim in enumerate(claims):
        root = ("claims", index)
        if claim.id in first_with_id:
            message = f"the id '{claim.id}' is taken by claim {first_with_id[claim.id] + 1}"
            mistakes.append(Mistake((*root, "id"), message))
        first_with_id.setdefault(claim.id, index)
        mistakes += _check_metric(claim, metrics, root)
        mistakes += _CHECKS[claim.kind](claim, axes, root)
    return mistakes


def _unknown(path: tuple[str | int, ...], what: str, name: str, allowed: Collection[str]) -> Mistake:
    close = difflib.get_close_matches(name, allowed, n=1)
    return Mistake(path, f"unknown {what} '{name}'", tuple(allowed), close[0] if close else None)


def _check_metric(claim: Claim, metrics: Collection[str], root: tuple[str | int, ...]) -> Iterator[Mistake]:
    if claim.metric not in metrics:
        yield _unknown((*root, "metric"), "metric", claim.metric, sorted(metrics))
        return
    allowed = describe_metric(claim.metric).units
    published_unit = claim.published.unit if claim.published is not None else None
    for key, unit in (("expect", claim.expect.unit), ("published", published_unit)):
        limits = key == "published" or claim.expect.direction is None or claim.expect.at_least or claim.expect.at_most
        if unit is not None and limits and unit not in allowed:
            yield Mistake((*root, key, "unit"), f"{claim.metric} is not measured in {unit}", allowed)


def _check_levels(
    cell: Mapping[str, str | tuple[str, ...]], axes: Mapping[str, Sequence[str]], path: tuple[str | int, ...]
) -> Iterator[Mistake]:
    for axis, named in cell.items():
        if axis not in axes:
            yield _unknown((*path, axis), "axis", axis, axes.keys())
            continue
        for level in (named,) if isinstance(named, str) else named:
            if level not in axes[axis]:
                yield _unknown((*path, axis), f"level of axis {axis}", level, axes[axis])


def _check_effect(
    claim: EffectClaim, axes: Mapping[str, Sequence[str]], root: tuple[str | int, ...]
) -> Iterator[Mistake]:
    yield from _check_levels(claim.within, axes, (*root, "within"))
    if claim.axis not in axes:
        yield _unknown((*root, "axis"), "axis", claim.axis, axes.keys())
        return
    levels = axes[claim.axis]
    for key, level in (("treatment", claim.treatment), ("control", claim.control)):
        if level not in levels:
            yield _unknown((*root, key), f"level of axis {claim.axis}", level, levels)
    if claim.treatment == claim.control:
        yield Mistake((*root, "control"), f"treatment and control are the same level '{claim.control}'", tuple(levels))
    if claim.axis in claim.within:
        yield Mistake((*root, "within", claim.axis), f"the claim is about axis {claim.axis} and cannot fix it")
    if claim.interaction_with is not None:
        yield from _check_interaction(claim, claim.interaction_with, axes, (*root, "interaction_with"))


def _check_interaction(
    claim: EffectClaim, other: Interaction, axes: Mapping[str, Sequence[str]], path: tuple[str | int, ...]
) -> Iterator[Mistake]:
    rest = [axis for axis in axes if axis != claim.axis and axis not in claim.within]
    if other.axis not in axes:
        yield _unknown((*path, "axis"), "axis", other.axis, rest)
    elif other.axis not in rest:
        yield Mistake((*path, "axis"), f"axis {other.axis} is fixed or compared by this claim already", tuple(rest))
    else:
        for position, level in enumerate(other.levels):
            if level not in axes[other.axis]:
                where = (*path, "levels", position)
                yield _unknown(where, f"level of axis {other.axis}", level, axes[other.axis])
        if other.levels[0] == other.levels[1]:
            yield Mistake((*path, "levels"), "an interaction compares two different levels", tuple(axes[other.axis]))


def _check_cells(
    claim: CellsClaim, axes: Mapping[str, Sequence[str]], root: tuple[str | int, ...]
) -> Iterator[Mistake]:
    yield from _check_levels(claim.within, axes, (*root, "within"))
    yield from _check_same_axes((claim.treatment, claim.control), ("treatment", "control"), claim.within, axes, root)


def _check_order(
    claim: OrderClaim, axes: Mapping[str, Sequence[str]], root: tuple[str | int, ...]
) -> Iterator[Mistake]:
    yield from _check_levels(claim.within, axes, (*root, "within"))
    keys = tuple(range(len(claim.order)))
    yield from _check_same_axes(claim.order, keys, claim.within, axes, (*root, "order"))


def _check_bound(
    claim: BoundClaim, axes: Mapping[str, Sequence[str]], root: tuple[str | int, ...]
) -> Iterator[Mistake]:
    yield from _check_levels(claim.cell, axes, (*root, "cell"))


def _check_same_axes(
    cells: Sequence[Mapping[str, str]],
    keys: Sequence[str | int],
    within: Part,
    axes: Mapping[str, Sequence[str]],
    path: tuple[str | int, ...],
) -> Iterator[Mistake]:
    """Cells that are compared name the same axes: otherwise one is an average over what the other fixes."""
    for key, cell in zip(keys, cells, strict=True):
        yield from _check_levels(cell, axes, (*path, key))
        if cell.keys() != cells[0].keys():
            message = f"compared cells name the same axes: {', '.join(cells[0])}, and here {', '.join(cell)}"
            yield Mistake((*path, key), message, tuple(cells[0]))
        for axis in cell.keys() & within.keys():
            yield Mistake((*path, key, axis), f"axis {axis} is fixed by 'within' already")
    counts = Counter(cell_label(dict(sorted(cell.items()))) for cell in cells)
    for label, count in counts.items():
        if count > 1:
            yield Mistake((*path, keys[-1]), f"the cell {label} is compared with itself")


_CHECKS: dict[str, Any] = {
    "effect": _check_effect,
    "cells": _check_cells,
    "bound": _check_bound,
    "order": _check_order,
}
