"""A search space: its parameters, which of them a point has, and what their values do to a configuration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bnnlab.sweep.document import Node, assign
from bnnlab.sweep.spec import label_of

if TYPE_CHECKING:
    from optuna import Trial

Value = int | float | str
Point = Mapping[str, Value]
"""The values of the parameters that a point has, by their names."""
Distribution = IntDistribution | FloatDistribution | CategoricalDistribution
Assignment = tuple[str, Node]


@dataclass(frozen=True)
class Parameter:
    """One number or word that a sampler chooses."""

    name: str
    distribution: Distribution
    node: Node
    low: Node | None = None
    high: Node | None = None
    step: Node | None = None
    """Where its ends and its step are written, for messages."""

    def values(self) -> tuple[Value, ...] | None:
        """All values in order; None where they are not countable."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return tuple(str(choice) for choice in choices)
            case IntDistribution(low=low, high=high, step=step):
                return tuple(range(low, high + 1, step))
            case FloatDistribution(low=low, high=high, step=step) if step is not None:
                count = round((high - low) / step) + 1
                return tuple(self.exact(low + index * step) for index in range(count))
        return None

    def exact(self, value: Value) -> Value:
        """A value in its one spelling: 1.3 on a grid of tenths, where 1 + 3 * 0.1 would be another cell."""
        if isinstance(self.distribution, FloatDistribution) and self.distribution.step is not None:
            low, step = Decimal(repr(self.distribution.low)), Decimal(repr(self.distribution.step))
            return float(low + round((float(value) - float(low)) / float(step)) * step)
        return value

    def label(self, value: Value) -> str:
        """A value as tags and tables show it; a number off any grid is cut to six digits."""
        if isinstance(self.distribution, FloatDistribution) and self.distribution.step is None:
            return f"{value:.6g}"
        return label_of(value)

    def suggest(self, trial: Trial) -> Value:
        """What the sampler says, or what the trial has already."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return str(trial.suggest_categorical(self.name, choices))
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(self.name, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=width, log=log):
                return self.exact(trial.suggest_float(self.name, low, high, step=width, log=log))

    def describe(self) -> str:
        """ "8 to 64 in steps of 8", "0.0001 to 0.1, log", "adam, sgd"."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return ", ".join(str(choice) for choice in choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                grid = f" in steps of {step}" if step != 1 else ""
            case FloatDistribution(low=low, high=high, step=width, log=log):
                grid = f" in steps of {width:g}" if width is not None else ""
        return f"{low:g} to {high:g}{grid}{', log' if log else ''}"

    def place(self, value: Value) -> Node:
        """Where in the file a value comes from."""
        ends = {self.distribution.low: self.low, self.distribution.high: self.high} if self.low else {}  # type: ignore[union-attr]
        return ends.get(value) or self.step or self.node


@dataclass(frozen=True)
class Entry:
    """One key of `space:`. Either levels that move fields, or one field made of numbers."""

    name: str
    path: str
    """Key path in the file, for messages."""
    node: Node
    parts: tuple[Parameter | Node, ...]
    """The parameters; in a list also the elements that are given."""
    field: str | None = None
    is_list: bool = False
    levels: Mapping[str, tuple[Assignment, ...]] | None = None
    when: tuple[tuple[str, frozenset[str]], ...] = ()
    """Parents and the labels under which this entry is searched; elsewhere the base decides."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(part for part in self.parts if isinstance(part, Parameter))

    @property
    def moves(self) -> frozenset[str]:
        """The fields that it sets; of a mapping each one in it."""
        if self.levels is not None:
            return frozenset(leaf for moves in self.levels.values() for move in moves for leaf in _leaves(*move))
        return frozenset([self.field] if self.field else ())

    def assignments(self, point: Point) -> tuple[Assignment, ...]:
        if self.levels is not None:
            return self.levels[str(point[self.name])]
        nodes = [part if isinstance(part, Node) else self._node(part, point[part.name]) for part in self.parts]
        assert self.field is not None
        return ((self.field, replace(self.node, value=nodes) if self.is_list else nodes[0]),)

    def _node(self, parameter: Parameter, value: Value) -> Node:
        place = parameter.place(value)
        return replace(place, value=place.value if place.value == value else value, key_mark=self.node.key_mark)


@dataclass(frozen=True)
class Space:
    """All entries, parents before what depends on them."""

    entries: tuple[Entry, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(parameter for entry in self.entries for parameter in entry.parameters)

    def is_active(self, entry: Entry, point: Mapping[str, Any]) -> bool:
        """Whether a point whose parents are decided has this entry."""
        return all(parent in point and label_of(point[parent]) in labels for parent, labels in entry.when)

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """A point from Optuna. What the trial has already stays; the rest is sampled."""
        point: dict[str, Value] = {}
        for entry in self.entries:
            if self.is_active(entry, point):
                point |= {parameter.name: parameter.suggest(trial) for parameter in entry.parameters}
        return point

    def assignments(self, point: Point) -> list[Assignment]:
        """The fields that a point moves: a mapping before what is in it, else in the order of the file."""
        moves = [move for entry in self.entries if self.is_active(entry, point) for move in entry.assignments(point)]
        return sorted(moves, key=lambda move: move[0].count("."))

    def tree(self, base: Node, point: Point) -> Node:
        """`base` with what a point moves."""
        for path, value in self.assignments(point):
            base = assign(base, path, value)
        return base

    def labels(self, point: Point) -> dict[str, str]:
        return {p.name: p.label(point[p.name]) for p in self.parameters if p.name in point}

    @property
    def is_finite(self) -> bool:
        return all(parameter.values() is not None for parameter in self.parameters)

    def points(self) -> Iterator[dict[str, Value]]:
        """Every point of a finite space, the last parameter fastest."""
        return self._points(0, {})

    def _points(self, index: int, so_far: dict[str, Value]) -> Iterator[dict[str, Value]]:
        if index == len(self.entries):
            yield so_far
            return
        entry = self.entries[index]
        if not self.is_active(entry, so_far):
            yield from self._points(index + 1, so_far)
            return
        for values in itertools.product(*(parameter.values() or () for parameter in entry.parameters)):
            chosen = {parameter.name: value for parameter, value in zip(entry.parameters, values, strict=True)}
            yield from self._points(index + 1, so_far | chosen)

    def size(self, at_most: int) -> int | None:
        """How many points there are; None where they are more than `at_most`."""
        if not self.is_finite:
            return None
        count = sum(1 for _ in itertools.islice(self.points(), at_most + 1))
        return count if count <= at_most else None


def _leaves(path: str, node: Node) -> Iterator[str]:
    if not node.is_mapping:
        yield path
    for key, child in node.items():
        yield from _leaves(f"{path}.{key}", child)
