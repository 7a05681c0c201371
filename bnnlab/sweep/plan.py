"""A spec expanded into the runs that it asks for. The same plan is shown by `plan` and executed by `sweep`."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from bnnlab.experiment.config import RunConfig
from bnnlab.paper.claims import Claim
from bnnlab.sweep.document import Node, assign
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mistake, SpecError, nearest
from bnnlab.sweep.spec import BASE_KEYS, Axis, Level, Spec, load_spec
from bnnlab.sweep.study_claims import read_claims

MAX_RUNS = 1_000_000
MAX_FAULTY_POINTS = 200
"""After this many points with mistakes the rest would only repeat them."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that a study asks for, and where it stands among the study's axes."""

    config: RunConfig
    axes: Mapping[str, str]
    """Level label by axis name."""

    @property
    def run_key(self) -> str:
        return self.config.run_key

    @property
    def cell(self) -> str:
        return self.config.cell_key

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def label(self) -> str:
        """ "scaling=xnor,estimator=ste,seed=2", for people."""
        return ",".join([*(f"{axis}={level}" for axis, level in self.axes.items()), f"seed={self.seed}"])


@dataclass(frozen=True)
class Plan:
    """Every run of a study under one profile, in the order in which they are started."""

    study: str
    question: str
    profile: str
    axes: Mapping[str, tuple[str, ...]]
    runs: tuple[PlannedRun, ...]
    claims: tuple[Claim, ...]
    compare_with: str | None
    dashboard: str | None
    settings: tuple[str, ...]
    spec_text: str
    spec_path: str

    @property
    def plan_id(self) -> str:
        """Twelve hexadecimal digits that name this set of runs of this study and profile."""
        keys = sorted(run.run_key for run in self.runs)
        return hashlib.sha256(json.dumps([self.study, self.profile, keys]).encode()).hexdigest()[:12]


def read_plan(
    path: Path, *, profile: str | None = None, settings: Sequence[str] = (), seeds: int | None = None
) -> Plan:
    """The plan of the spec at `path`. Raises SpecError with every mistake that can be seen at once."""
    return make_plan(load_spec(path, profile=profile, settings=settings, seeds=seeds), str(path))


def make_plan(spec: Spec, path: str = "") -> Plan:
    """Expand a spec. Raises SpecError."""
    expansion = _Expansion(spec)
    runs = expansion.runs()
    axes = _levels(spec.blocks)
    claims, wrong = read_claims(spec.claims, axes)
    mistakes = [*spec.mistakes, *expansion.mistakes, *wrong]
    if mistakes:
        raise SpecError(mistakes)
    return Plan(
        study=spec.name,
        question=spec.question,
        profile=spec.profile,
        axes=axes,
        runs=runs,
        claims=claims,
        compare_with=spec.compare_with,
        dashboard=spec.dashboard,
        settings=spec.settings,
        spec_text=spec.text,
        spec_path=path,
    )


def _levels(blocks: Sequence[Sequence[Axis]]) -> dict[str, tuple[str, ...]]:
    levels: dict[str, dict[str, None]] = {}
    for axis in itertools.chain.from_iterable(blocks):
        levels.setdefault(axis.name, {}).update(dict.fromkeys(level.label for level in axis.levels))
    return {name: tuple(labels) for name, labels in levels.items()}


class _Expansion:
    """The union of a spec's blocks, point by point, with what is wrong about each."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.mistakes: list[Mistake] = []
        self.sections = _Sections()
        self.faulty_points = 0
        self.used: set[int] = set()

    def runs(self) -> tuple[PlannedRun, ...]:
        runs: dict[str, PlannedRun] = {}
        count = sum(_size(block) for block in self.spec.blocks) * len(self.spec.seeds)
        if count > MAX_RUNS:
            node = self.spec.document.get("axes") or self.spec.document
            self.mistakes.append(node.mistake("axes", f"{count:,} runs; at most {MAX_RUNS:,} make a study"))
            return ()
        for block in self.spec.blocks:
            for run in self._block(block):
                runs.setdefault(run.run_key, run)
        for index, exclusion in enumerate(self.spec.exclusions):
            if index not in self.used:
                self.mistakes.append(exclusion.node.mistake(exclusion.path, "excludes nothing"))
        if not runs and not self.mistakes and not self.spec.mistakes:
            node = self.spec.document.get("exclude") or self.spec.document
            self.mistakes.append(node.mistake("exclude", "leaves no run"))
        return tuple(runs.values())

    def _block(self, block: tuple[Axis, ...]) -> Iterator[PlannedRun]:
        cells: dict[str, dict[str, str]] = {}
        for levels in itertools.product(*(axis.levels for axis in block)):
            if self.faulty_points >= MAX_FAULTY_POINTS:
                return
            axes = {axis.name: level.label for axis, level in zip(block, levels, strict=True)}
            if self._excluded(axes):
                continue
            config = self._config(levels, self.spec.seeds[0])
            if config is None:
                continue
            if config.cell_key in cells:
                self._no_effect(block, axes, cells[config.cell_key])
                continue
            cells[config.cell_key] = axes
            yield PlannedRun(config, axes)
            for seed in self.spec.seeds[1:]:
                yield PlannedRun(config.with_seed(seed), axes)

    def _excluded(self, axes: dict[str, str]) -> bool:
        covering = [i for i, exclusion in enumerate(self.spec.exclusions) if exclusion.covers(axes)]
        self.used.update(covering)
        return bool(covering)

    def _config(self, levels: tuple[Level, ...], seed: int) -> RunConfig | None:
        tree = self.spec.base
        for level in levels:
            for path, value in level.assignments:
                tree = assign(tree, path, value)
        found = self.sections.config(tree, seed)
        if isinstance(found, RunConfig):
            return found
        # Only what levels or base say can be wrong: at most one mistake a place is reported.
        self.faulty_points += 1
        self.mistakes += found
        return None

    def _no_effect(self, block: tuple[Axis, ...], axes: dict[str, str], twin: dict[str, str]) -> None:
        differing = [axis for axis in block if axes[axis.name] != twin[axis.name]]
        for axis in differing:
            what = (
                f"has no effect: levels '{twin[axis.name]}' and '{axes[axis.name]}' give the same run"
                + ("" if len(block) == 1 else f" at {_where(twin, differing)}")
                + "; leave one out or exclude it"
            )
            self.mistakes.append(axis.node.mistake(axis.path, what, at_key=True))
            self.faulty_points += 1


def _where(axes: dict[str, str], differing: Sequence[Axis]) -> str:
    names = {axis.name for axis in differing}
    rest = ", ".join(f"{name}={level}" for name, level in axes.items() if name not in names)
    return rest or "every point"


def _size(block: Sequence[Axis]) -> int:
    size = 1
    for axis in block:
        size *= max(1, len(axis.levels))
    return size


class _Sections:
    """Configurations from trees, section by section: the points of a grid share most of their sections."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], BaseModel | str] = {}
        self.adapters: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(_annotated(name)) for name in BASE_KEYS
        }  # fmt: skip

    def config(self, tree: Node, seed: int) -> RunConfig | list[Mistake]:
        mistakes: list[Mistake] = []
        sections: dict[str, Any] = {"seed": seed}
        for key, child in tree.items():
            if key not in BASE_KEYS:
                hint = nearest(key, BASE_KEYS)
                text = f"unknown field '{key}'"
                mistakes.append(child.mistake(key, text, at_key=True, allowed=BASE_KEYS, nearest=hint))
                continue
            try:
                sections[key] = self._section(key, child)
            except ValidationError as error:
                mistakes += explain(error, child, RunConfig.model_fields[key].rebuild_annotation(), key)
        for key, field in RunConfig.model_fields.items():
            if key not in tree.value and field.is_required() and key != "seed":
                mistakes.append(tree.mistake("base", f"'{key}' is required", at_key=True))
        if mistakes:
            return mistakes
        try:
            return RunConfig.model_validate(sections)
        except ValidationError as error:
            return list(explain(error, tree, RunConfig))

    def _section(self, key: str, node: Node) -> Any:
        text = json.dumps(node.plain(), separators=(",", ":"))
        if (key, text) not in self.known:
            # JSON mode, strict: a list is a tuple, but "3" is not 3 and true is not 1.
            self.known[key, text] = self.adapters[key].validate_json(text, strict=True)
        return self.known[key, text]


def _annotated(section: str) -> Any:
    return RunConfig.model_fields[section].rebuild_annotation()
