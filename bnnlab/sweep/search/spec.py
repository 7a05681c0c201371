"""A search as its author wrote it: everything that decides which trials there are and how they are judged."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from bnnlab.experiment.config import RunConfig
from bnnlab.sweep.document import Node
from bnnlab.sweep.mistakes import Mistake
from bnnlab.sweep.plan import Sections
from bnnlab.sweep.search.enqueued import Enqueued
from bnnlab.sweep.search.objectives import OF_TESTS, Constraint, Objective, curve_metric
from bnnlab.sweep.search.samplers import PrunerConfig, SamplerConfig
from bnnlab.sweep.search.space import Entry, Parameter, Point, Space
from bnnlab.values import Frozen

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def seconds(text: object) -> float:
    """>>> seconds("5 min"), seconds("1.5 h")
    (300.0, 5400.0)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*", text) if isinstance(text, str) else None
    if match is None or float(match[1]) == 0:
        raise ValueError("must be a time such as '90 s', '5 min', '12 h' or '2 d'")
    return float(match[1]) * _UNITS[match[2]]


class Budget(Frozen):
    """When a search ends: at so many completed trials, or when its time is up."""

    trials: int = Field(ge=1)
    """Trials that end with a result. What is pruned, refused or failed does not count."""
    time: Annotated[float, BeforeValidator(seconds)] | None = None
    """Seconds of all sessions together after which no trial is started; those in flight are finished."""


@dataclass(frozen=True)
class Search:
    """A search under one profile."""

    study: str
    question: str
    profile: str
    base: Node = field(repr=False)
    space: Space = field(repr=False)
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    budget: Budget
    sampler: SamplerConfig
    pruner: PrunerConfig
    enqueued: tuple[Enqueued, ...]
    seeds: tuple[int, ...]
    compare_with: str | None
    dashboard: str | None
    settings: tuple[str, ...]
    spec_text: str = field(repr=False)
    spec_path: str
    sections: Sections = field(repr=False, compare=False, default_factory=Sections)

    @cached_property
    def search_id(self) -> str:
        """Twelve hexadecimal digits. The budget and the first trials are not part of them: either may grow."""
        parts = {
            "study": self.study,
            "profile": self.profile,
            "base": self.base.plain(),
            "space": [_signature(entry) for entry in self.space.entries],
            "objectives": [vars(objective) for objective in self.objectives],
            "constraints": [vars(constraint) for constraint in self.constraints],
            "sampler": self.sampler.model_dump(mode="json"),
            "pruner": self.pruner.model_dump(mode="json"),
            "seeds": list(self.seeds),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """The name of Optuna's study."""
        return f"{self.study} ({self.profile})"

    @property
    def epochs(self) -> int:
        """The most epochs that a run of it trains."""
        found = self.base.get("training")
        epochs = found.get("epochs") if found else None
        searched = [p for entry in self.space.entries if entry.field == "training.epochs" for p in entry.parameters]
        values = [value for parameter in searched for value in parameter.values() or () if isinstance(value, int)]
        return max([*values, epochs.value if epochs is not None and isinstance(epochs.value, int) else 1])

    @property
    def asked_for(self) -> tuple[str, ...]:
        """Every metric that objectives and constraints name."""
        names = [objective.metric for objective in self.objectives] + [c.metric for c in self.constraints]
        return tuple(dict.fromkeys(names))

    @property
    def watched(self) -> Objective | None:
        """The first objective that shows after each epoch where it is heading: what pruners look at."""
        return next((o for o in self.objectives if curve_metric(o.metric) is not None), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What its author should know before it starts."""
        tested = [o.metric for o in self.objectives if o.metric in OF_TESTS]
        holdout = (self.base.get("evaluation") or self.base).value != "paper"
        text = "the best trial's {} will look better than it is: trials are chosen by it. Search on val/top1 instead"
        return tuple(text.format(metric) for metric in tested if holdout)

    def config(self, point: Point, seed: int) -> RunConfig | list[Mistake]:
        """The configuration at a point, or why there is none."""
        return self.sections.config(self.space.tree(self.base, point), seed)


def _signature(entry: Entry) -> Any:
    """What an entry searches, as plain data."""
    levels = {label: [(path, node.plain()) for path, node in moves] for label, moves in (entry.levels or {}).items()}
    parts = [
        repr(part.distribution) if isinstance(part, Parameter) else part.plain() for part in entry.parts
    ]  # fmt: skip
    when = [[parent, sorted(labels)] for parent, labels in entry.when]
    return [entry.name, entry.field, parts, levels, when]
