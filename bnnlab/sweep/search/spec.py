"""A search as its author wrote it: everything that decides which trials there are and how they are judged."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from bnnlab.experiment.config import RunConfig
from bnnlab.sweep.document import Node
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mark, Mistake, Source, SpecError, nearest
from bnnlab.sweep.plan import Sections
from bnnlab.sweep.search.enqueued import Enqueued, read_enqueued
from bnnlab.sweep.search.objectives import METRICS, OF_TESTS, Constraint, Objective, curve_metric, is_cost
from bnnlab.sweep.search.samplers import (
    ONE_OBJECTIVE_ONLY,
    TPE,
    Front,
    Nop,
    PrunerConfig,
    SamplerConfig,
    Wilcoxon,
    lacks,
)
from bnnlab.sweep.search.space import Entry, Parameter, Point, Space, Value
from bnnlab.sweep.search.space_reading import SpaceReader, shown
from bnnlab.sweep.spec import Spec
from bnnlab.values import Frozen

SEARCH_KEYS = ("space", "objectives", "constraints", "budget", "enqueue", "sampler", "pruner")
DIRECTIONS = ("maximize", "minimize")
STUDY_ONLY = ("axes", "exclude", "claims")
PROBED = 64
"""Values of a parameter that are tried on its field before anything starts."""

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

    def first_configs(self) -> list[RunConfig]:
        """A configuration for each value of each parameter that moves the data: what must be here to begin."""
        return _Probe(self).configs()

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


def make_search(spec: Spec, path: str = "") -> Search:
    """The search that a spec describes. Raises SpecError with every mistake that can be seen at once."""
    return _Reader(spec).read(path)


class _Reader:
    def __init__(self, spec: Spec) -> None:
        assert spec.search is not None
        self.spec = spec
        self.node: Node = spec.search
        self.mistakes: list[Mistake] = list(spec.mistakes)

    def read(self, path: str) -> Search:
        if not self.node.is_mapping:
            self._wrong(self.node, "search", f"must be a mapping, not {self.node.kind}")
            raise SpecError(self.mistakes)
        self._keys()
        reader = SpaceReader()
        space = reader.read(self.node.get("space"), self.node)
        enqueued, wrong = read_enqueued(self.node.get("enqueue"), space)
        self.mistakes += [*reader.mistakes, *([] if reader.mistakes else wrong), *self._settings(space)]
        objectives = self._objectives()
        search = Search(
            study=self.spec.name,
            question=self.spec.question,
            profile=self.spec.profile,
            base=self.spec.base,
            space=space,
            objectives=objectives,
            constraints=self._constraints(),
            budget=self._parse("budget", Budget, Budget(trials=1)),
            sampler=self._sampler(objectives),
            pruner=self._pruner(objectives),
            enqueued=enqueued,
            seeds=self.spec.seeds,
            compare_with=self.spec.compare_with,
            dashboard=self.spec.dashboard,
            settings=self.spec.settings,
            spec_text=self.spec.text,
            spec_path=path,
        )
        if not reader.mistakes:
            self.mistakes += _Probe(search).mistakes()
        if self.mistakes:
            raise SpecError(self.mistakes)
        return search

    def _wrong(self, node: Node, path: str, text: str, **extra: Any) -> None:
        self.mistakes.append(node.mistake(path, text, **extra))

    def _keys(self) -> None:
        for key, child in self.node.items():
            if key not in SEARCH_KEYS:
                hint = nearest(key, SEARCH_KEYS)
                text = f"unknown key '{key}'"
                self._wrong(child, f"search.{key}", text, at_key=True, allowed=SEARCH_KEYS, nearest=hint)
        profiles = self.spec.document.get("profiles")
        for part in (self.spec.document, profiles.get(self.spec.profile) if profiles else None):
            for key in STUDY_ONLY:
                found = part.get(key) if part else None
                if found is not None:
                    self._wrong(found, key, "belongs to a study; this is a search, as it has 'search'", at_key=True)

    def _settings(self, space: Space) -> Iterator[Mistake]:
        for setting in self.spec.settings:
            path = setting.partition("=")[0]
            for entry in space.entries:
                if any(path == m or path.startswith(m + ".") or m.startswith(path + ".") for m in entry.moves):
                    source, mark = Source("command line", (f"--set {setting}",)), Mark(1, 7, 7 + len(path))
                    text = f"'{path}' is searched by parameter '{entry.name}'; edit the space instead"
                    yield Mistake(source, mark, "", text)

    # -- objectives and constraints ----------------------------------------------------------------

    def _objectives(self) -> tuple[Objective, ...]:
        node, path = self.node.get("objectives"), "search.objectives"
        if node is None or node.value in (None, {}):
            text = "is required: what to maximize or minimize, such as {val/top1: maximize}"
            self._wrong(node or self.node, path, text, at_key=True)
            return ()
        if not node.is_mapping:
            self._wrong(node, path, f"must be a mapping such as {{val/top1: maximize}}, not {node.kind}")
            return ()
        found = []
        for metric, child in node.items():
            if child.value not in DIRECTIONS:
                hint = nearest(child.value, DIRECTIONS)
                text = f"unknown direction {shown(child)}"
                self._wrong(child, f"{path}.{metric}", text, allowed=DIRECTIONS, nearest=hint)
            elif self._is_metric(metric, child, path):
                found.append(Objective(metric, child.value))
        return tuple(found)

    def _is_metric(self, metric: str, node: Node, path: str) -> bool:
        if metric in METRICS:
            return True
        text = f"no run reports '{metric}'"
        hint = nearest(metric, METRICS)
        self._wrong(node, f"{path}.{metric}", text, at_key=True, allowed=METRICS, nearest=hint)
        return False

    def _constraints(self) -> tuple[Constraint, ...]:
        node, path = self.node.get("constraints"), "search.constraints"
        if node is None or node.value is None:
            return ()
        if not node.is_mapping:
            self._wrong(node, path, f"must be a mapping such as {{model/size_mib: {{at_most: 4.1}}}}, not {node.kind}")
            return ()
        found: list[Constraint] = []
        for metric, child in node.items():
            if self._is_metric(metric, child, path):
                found += self._bounds(metric, child, f"{path}.{metric}")
        return tuple(found)

    def _bounds(self, metric: str, node: Node, path: str) -> Iterator[Constraint]:
        kinds = ("at_most", "at_least")
        if not node.is_mapping or not node.value:
            self._wrong(node, path, f"must be a mapping such as {{at_most: 4.1}}, not {shown(node)}")
            return
        bounds: dict[str, float] = {}
        for kind, child in node.items():
            value = child.value
            if kind not in kinds:
                hint = nearest(kind, kinds)
                text = f"unknown key '{kind}'"
                self._wrong(child, f"{path}.{kind}", text, at_key=True, allowed=kinds, nearest=hint)
            elif isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
                self._wrong(child, f"{path}.{kind}", f"must be a number, not {shown(child)}")
            else:
                bounds[kind] = float(value)
        if len(bounds) == 2 and bounds["at_least"] > bounds["at_most"]:
            self._wrong(node, path, f"cannot be at least {bounds['at_least']:g} and at most {bounds['at_most']:g}")
        for kind, bound in bounds.items():
            yield Constraint(metric, kind, bound)  # type: ignore[arg-type]

    # -- budget, sampler, pruner -------------------------------------------------------------------

    def _parse(self, key: str, annotation: Any, instead: Any) -> Any:
        node, path = self.node.get(key), f"search.{key}"
        if node is None:
            if key == "budget":
                self._wrong(self.node, path, "is required, such as {trials: 40}", at_key=True)
            return instead
        if not node.is_mapping:
            example = "{trials: 40}" if key == "budget" else f"{{name: {instead.name}}}"
            self._wrong(node, path, f"must be a mapping such as {example}, not {shown(node)}")
            return instead
        try:
            return TypeAdapter[Any](annotation).validate_json(json.dumps(node.plain()), strict=True)
        except ValidationError as error:
            self.mistakes += explain(error, node, annotation, path)
            return instead

    def _sampler(self, objectives: Sequence[Objective]) -> SamplerConfig:
        sampler: SamplerConfig = self._parse("sampler", SamplerConfig, TPE())
        node = self.node.get("sampler")
        if node is None:
            return sampler
        at = node.get("name") or node
        if sampler.name in ONE_OBJECTIVE_ONLY and len(objectives) > 1:
            text = f"{sampler.name} takes one objective; this search has {len(objectives)}"
            self._wrong(at, "search.sampler.name", text)
        elif isinstance(sampler, TPE) and sampler.group and sampler.multivariate is False:
            self._wrong(node.value["group"], "search.sampler.group", "needs 'multivariate: true'", at_key=True)
        elif package := lacks(sampler):
            self._wrong(at, "search.sampler.name", f"{sampler.name} needs the package {package}: pip install {package}")
        return sampler

    def _pruner(self, objectives: Sequence[Objective]) -> PrunerConfig:
        pruner: PrunerConfig = self._parse("pruner", PrunerConfig, Nop())
        node = self.node.get("pruner")
        if node is None or isinstance(pruner, Nop) or not objectives:
            return pruner
        at, path = node.get("name") or node, "search.pruner.name"
        if isinstance(pruner, Front) and len(objectives) == 1:
            self._wrong(at, path, "FrontPruner is for several objectives; this search has one")
        elif not isinstance(pruner, Front) and len(objectives) > 1:
            text = f"{pruner.name} judges one objective; this search has {len(objectives)}"
            self._wrong(at, path, text, allowed=("FrontPruner", "NopPruner"))
        elif all(is_cost(objective.metric) for objective in objectives):
            self._wrong(at, path, "has nothing to look at: the objectives are known before training")
        elif isinstance(pruner, Wilcoxon) and len(self.spec.seeds) <= pruner.n_startup_steps:
            count = len(self.spec.seeds)
            text = f"compares seeds, from {pruner.n_startup_steps + 1} on; 'seeds' has {count}"
            self._wrong(at, path, text)
        return pruner


class _Probe:
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


def _signature(entry: Entry) -> Any:
    """What an entry searches, as plain data."""
    levels = {label: [(path, node.plain()) for path, node in moves] for label, moves in (entry.levels or {}).items()}
    parts = [
        repr(part.distribution) if isinstance(part, Parameter) else part.plain() for part in entry.parts
    ]  # fmt: skip
    when = [[parent, sorted(labels)] for parent, labels in entry.when]
    return [entry.name, entry.field, parts, levels, when]
