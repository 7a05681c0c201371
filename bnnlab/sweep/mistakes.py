"""Mistakes in what a user wrote: each at its place, with what is allowed and the nearest match, all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A text that a user wrote: a file, or what follows `--set` on the command line."""

    name: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Mark:
    """A stretch of one line of a source; line and column count from 1, `end` is exclusive."""

    line: int
    column: int
    end: int


@dataclass(frozen=True)
class Mistake:
    """One mistake, and what its author needs to mend it."""

    source: Source
    mark: Mark | None
    path: str
    """Key path in the user's own words ("axes, model.name[1]"); empty where the whole file is meant."""
    text: str
    allowed: tuple[str, ...] = ()
    nearest: str | None = None

    def __str__(self) -> str:
        place = self.source.name if self.mark is None else f"{self.source.name}:{self.mark.line}:{self.mark.column}"
        head = ": ".join(part for part in (place, self.path, self.text) if part)
        return "\n".join([head, *self._excerpt(), *self._hint()])

    def _excerpt(self) -> list[str]:
        if self.mark is None or not 1 <= self.mark.line <= len(self.source.lines):
            return []
        line = self.source.lines[self.mark.line - 1].replace("\t", " ")
        number = str(self.mark.line)
        width = max(1, min(self.mark.end, len(line) + 1) - self.mark.column)
        return [
            f"  {number} | {line}",
            f"  {' ' * len(number)} | {' ' * (self.mark.column - 1)}{'^' * width}",
        ]

    def _hint(self) -> list[str]:
        if not self.allowed:
            return []
        hint = f"  allowed: {', '.join(self.allowed)}"
        return [hint + (f".  Did you mean '{self.nearest}'?" if self.nearest else "")]


class SpecError(Exception):
    """Every mistake that was found in a spec. Nothing was started."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        # One wrong word is one mistake, however many runs it reaches.
        unique = {(m.source.name, m.mark, m.text): m for m in reversed(list(mistakes))}
        self.mistakes: tuple[Mistake, ...] = tuple(sorted(unique.values(), key=_position))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def nearest(word: object, allowed: Sequence[str]) -> str | None:
    """The allowed word that looks most like `word`, if one looks like it at all."""
    found = difflib.get_close_matches(str(word).lower(), [a.lower() for a in allowed], n=1, cutoff=0.6)
    return next((a for a in allowed if found and a.lower() == found[0]), None)


def _position(mistake: Mistake) -> tuple[str, int, int]:
    mark = mistake.mark or Mark(0, 0, 0)
    return (mistake.source.name, mark.line, mark.column)
