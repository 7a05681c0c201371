"""`search:` of a spec, read: every mistake that can be seen before anything starts, each at its place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bnnlab.sweep.document import Node
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mark, Mistake, Source, SpecError, nearest
from bnnlab.sweep.search.enqueued import read_enqueued
from bnnlab.sweep.search.objectives import METRICS, Constraint, Objective, is_cost
from bnnlab.sweep.search.probe import Probe
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
from bnnlab.sweep.search.space import Space
from bnnlab.sweep.search.space_reading import SpaceReader, shown
from bnnlab.sweep.search.spec import Budget, Search
from bnnlab.sweep.spec import Spec

SEARCH_KEYS = ("space", "objectives", "constraints", "budget", "enqueue", "sampler", "pruner")
DIRECTIONS = ("maximize", "minimize")
STUDY_ONLY = ("axes", "exclude", "claims")


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
            self.mistakes += Probe(search).mistakes()
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
