"""The points of a small finite space that no trial has had yet."""

from __future__ import annotations

import random
from collections.abc import Mapping

from bnnlab.sweep.search.space import Point, Value
from bnnlab.sweep.search.spec import Search

COUNTABLE = 10_000
"""A finite space up to this size is known point by point, so that its end is noticed."""


class Untried:
    """What is left of a space, in random order; of one that is too large to be counted nothing is known."""

    def __init__(self, search: Search) -> None:
        self._points: dict[tuple[tuple[str, Value], ...], dict[str, Value]] | None = None
        if search.space.size(COUNTABLE) is not None:
            points = list(search.space.points())
            random.Random(search.sampler.seed).shuffle(points)
            self._points = {_key(point): point for point in points}

    @property
    def is_empty(self) -> bool:
        """Whether every point is known to have been tried."""
        return self._points is not None and not self._points

    def fit(self, trials: int) -> bool:
        """Whether there are no more points than so many trials."""
        return self._points is not None and len(self._points) <= trials

    def first(self) -> dict[str, Value] | None:
        """The next point to try; None where none is left or none is known."""
        return dict(next(iter(self._points.values()))) if self._points else None

    def discard(self, point: Point) -> None:
        """Note that a trial has had a point."""
        if self._points is not None:
            self._points.pop(_key(point), None)


def _key(point: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(point.items()))
