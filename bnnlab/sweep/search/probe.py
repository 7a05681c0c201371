"""A search's parameters tried on its configuration, so that no trial finds a mistake of the spec."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from bnnlab.experiment.config import RunConfig
from bnnlab.sweep.mistakes import Mark, Mistake, Source
from bnnlab.sweep.search.space import Entry, Parameter, Value
from bnnlab.sweep.search.spec import Search

PROBED = 64
"""Values of a parameter that are tried on its field."""


def first_configs(search: Search) -> list[RunConfig]:
    """A configuration for each value of each parameter that moves the data: what must be here to begin."""
    return Probe(search).configs()


class Probe:
    """Tries the values of every parameter on the configuration, so that no trial finds a mistake of the spec."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.random = random.Random(0)
        self.found: dict[tuple[Source, Mark], Mistake] = {}

    def mistakes(self) -> list[Mistake]:
        base = self._at({})
        if base is None and not self.search.space.entries:
            return list(self.found.values())
        for entry in self.search.space.entries:
            for parameter in entry.parameters:
                for value in _probed(parameter):
                    self._at(self._point(entry, {parameter.name: value}))
        if not self.found:
            for entry in self.search.space.entries:
                self._effect(entry)
        return list(self.found.values())

    def configs(self) -> list[RunConfig]:
        moving = [e for e in self.search.space.entries if any(move.startswith("data") for move in e.moves)]
        points = [self._point(e, {p.name: value}) for e in moving for p in e.parameters for value in _probed(p)]
        found = [self.search.config(self._complete(p, _first), self.search.seeds[0]) for p in ({}, *points)]
        return [config for config in found if isinstance(config, RunConfig)]

    def _at(self, point: Mapping[str, Value]) -> str | None:
        """The cell at a point that is completed with first values; None where there is none."""
        whole = self._complete(point, lambda parameter: _first(parameter))
        config = self.search.config(whole, self.search.seeds[0])
        if isinstance(config, RunConfig):
            return config.cell_key
        for mistake in config:
            if mistake.mark is not None:
                self.found.setdefault((mistake.source, mistake.mark), mistake)
        return None

    def _point(self, entry: Entry, values: Mapping[str, Value]) -> dict[str, Value]:
        """`values`, and what its parents must be for `entry` to be searched."""
        point = dict(values)
        for parent, labels in entry.when:
            owner = next(e for e in self.search.space.entries for p in e.parameters if p.name == parent)
            parameter = next(p for p in owner.parameters if p.name == parent)
            chosen = next(v for v in parameter.values() or () if parameter.label(v) in labels)
            point |= self._point(owner, {parent: chosen})
        return point

    def _complete(self, point: Mapping[str, Value], choose: Any) -> dict[str, Value]:
        whole: dict[str, Value] = {}
        for entry in self.search.space.entries:
            if self.search.space.is_active(entry, whole):
                for parameter in entry.parameters:
                    whole[parameter.name] = point[parameter.name] if parameter.name in point else choose(parameter)
        return whole

    def _effect(self, entry: Entry) -> None:
        """A parameter that changes nothing wherever it is tried would be searched in vain."""
        for parameter in entry.parameters:
            values = _probed(parameter)
            for attempt in range(24):
                point = self._point(entry, {})
                others = self._complete(point, _first if attempt == 0 else self._any)
                cells = {self._cell({**others, parameter.name: value}) for value in (values[0], values[-1], values[1])}
                if len(cells - {None}) > 1:
                    break
            else:
                text = "has no effect: no run reads it as the rest of this search stands"
                mistake = entry.node.mistake(entry.path, text, at_key=True)
                self.found.setdefault((mistake.source, mistake.mark or Mark(0, 0, 0)), mistake)

    def _any(self, parameter: Parameter) -> Value:
        return self.random.choice(_probed(parameter))

    def _cell(self, point: Mapping[str, Value]) -> str | None:
        config = self.search.config(self._complete(point, _first), self.search.seeds[0])
        return config.cell_key if isinstance(config, RunConfig) else None


def _probed(parameter: Parameter) -> tuple[Value, ...]:
    values = parameter.values()
    if values is None:
        distribution = parameter.distribution
        return (distribution.low, distribution.high)  # type: ignore[union-attr]
    return values if len(values) <= PROBED else (*values[: PROBED // 2], values[-1])


def _first(parameter: Parameter) -> Value:
    return _probed(parameter)[0]
