"""A spec expanded into the runs that it asks for. The same plan is shown by `plan` and executed by `sweep`."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from bnnlab.data.config import DataConfig
from bnnlab.experiment.config import RunConfig, TrainingConfig
from bnnlab.models.config import ModelConfig
from bnnlab.paper.claims import Claim
from bnnlab.sweep.document import Node, assign, merge
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mistake, SpecError, nearest
from bnnlab.sweep.spec import BASE_KEYS, Axis, Level, Spec, load_spec
from bnnlab.sweep.study_claims import read_claims

SECTIONS: dict[str, Any] = {
    "model": ModelConfig,
    "data": DataConfig,
    "training": TrainingConfig,
    "evaluation": RunConfig.model_fields["evaluation"].annotation,
}
"""The sections of a run's configuration and their types; the seed comes from the study."""
MAX_RUNS = 1_000_000
MAX_FAULTY_POINTS = 200
"""After this many points with mistakes the rest would only repeat them."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that a study asks for, and where it stands among the study's axes."""

    config: RunConfig
    axes: Mapping[str, str]
    """Level label by axis name; empty for a run that only serves others as a start."""
    also: tuple[Mapping[str, str], ...] = ()
    """Its places in further blocks of the study, where blocks share it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What else MLflow shows of it, such as the number of a search's trial."""

    @property
    def starts_from(self) -> RunConfig | None:
        """The run whose weights this one starts from; it must be finished first."""
        return self.config.training.init_from

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
        cell = [f"{axis}={level}" for axis, level in self.axes.items()] or [self.config.model.name]
        return ",".join([*cell, f"seed={self.seed}"])


@dataclass(frozen=True)
class Plan:
    """Every run of a study under one profile, in the order in which they are started."""

    study: str
    question: str
    profile: str
    axes: Mapping[str, tuple[str, ...]]
    runs: tuple[PlannedRun, ...]
    """The study's own runs: its cells under each seed."""
    starts: tuple[PlannedRun, ...]
    """Runs that others start from (`training.init_from`) and that are in no cell; each is trained once."""
    claims: tuple[Claim, ...]
    compare_with: str | None
    dashboard: str | None
    settings: tuple[str, ...]
    spec_text: str
    spec_path: str

    @property
    def all_runs(self) -> tuple[PlannedRun, ...]:
        """Everything to be trained, what others start from first."""
        return self.starts + self.runs

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
    if spec.search is not None:
        text = "asks Optuna for its runs, one after the other; there is no plan of them (`search.spec` reads it)"
        raise SpecError([*spec.mistakes, spec.search.mistake("search", text, at_key=True)])
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
        starts=starting_runs(runs),
        claims=claims,
        compare_with=spec.compare_with,
        dashboard=spec.dashboard,
        settings=spec.settings,
        spec_text=spec.text,
        spec_path=path,
    )


def starting_runs(runs: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """What `runs` start from and do not contain, in the order in which it has to be trained."""
    own = {run.run_key for run in runs}
    found: dict[str, PlannedRun] = {}

    def visit(config: RunConfig | None) -> None:
        if config is not None and config.run_key not in own | found.keys():
            visit(config.training.init_from)
            found[config.run_key] = PlannedRun(config, {})

    for run in runs:
        visit(run.starts_from)
    return tuple(found.values())


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
        self.sections = Sections()
        self.faulty_points = 0
        self.used: set[int] = set()

    def runs(self) -> tuple[PlannedRun, ...]:
        runs: dict[str, PlannedRun] = {}
        if not self.spec.base.value and self.spec.mistakes:
            return ()  # without a base, every field would be missed one by one
        count = sum(_size(block) for block in self.spec.blocks) * len(self.spec.seeds)
        if count > MAX_RUNS:
            node = self.spec.document.get("axes") or self.spec.document
            self.mistakes.append(node.mistake("axes", f"{count:,} runs; at most {MAX_RUNS:,} make a study"))
            return ()
        for block in self.spec.blocks:
            for run in self._block(block):
                known = runs.setdefault(run.run_key, run)
                if known is not run and run.axes not in (known.axes, *known.also):
                    runs[run.run_key] = replace(known, also=(*known.also, run.axes))
        for index, exclusion in enumerate(self.spec.exclusions):
            if index not in self.used:
                self.mistakes.append(exclusion.node.mistake(exclusion.path, "excludes nothing"))
        if not runs and not self.faulty_points and not self.mistakes and not self.spec.mistakes:
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
            tree = self._tree(levels)
            config = self._config(tree, self.spec.seeds[0])
            if config is None:
                continue
            if config.cell_key in cells and self.spec.mistakes:
                continue  # the axes are not what their author meant
            if config.cell_key in cells:
                self._no_effect(block, axes, cells[config.cell_key])
                continue
            cells[config.cell_key] = axes
            yield PlannedRun(config, axes)
            for seed in self.spec.seeds[1:]:
                # A start has a seed of its own or follows the run's: only the spec knows which.
                again = config.with_seed(seed) if config.training.init_from is None else self._config(tree, seed)
                if again is not None:
                    yield PlannedRun(again, axes)

    def _excluded(self, axes: dict[str, str]) -> bool:
        covering = [i for i, exclusion in enumerate(self.spec.exclusions) if exclusion.covers(axes)]
        self.used.update(covering)
        return bool(covering)

    def _tree(self, levels: tuple[Level, ...]) -> Node:
        tree = self.spec.base
        for level in levels:
            for path, value in level.assignments:
                tree = assign(tree, path, value)
        return tree

    def _config(self, tree: Node, seed: int) -> RunConfig | None:
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


class Sections:
    """Configurations from trees, section by section: the points of a grid share most of their sections."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], BaseModel | str] = {}
        self.adapters = {name: TypeAdapter[Any](annotation) for name, annotation in SECTIONS.items()}

    def config(self, tree: Node, seed: int) -> RunConfig | list[Mistake]:
        tree, change = _without_start(tree)
        if change is None:
            return self._config(tree, seed)
        start = self._start(tree, change, seed)
        found = self._config(tree, seed)
        if isinstance(start, list) or isinstance(found, list):
            return [*(start if isinstance(start, list) else []), *(found if isinstance(found, list) else [])]
        return found.starting_from(start)

    def _start(self, tree: Node, change: Node, seed: int) -> RunConfig | list[Mistake]:
        """The run to start from: `change` laid upon the run's own configuration."""
        path = "training.init_from"
        if not change.is_mapping:
            return [change.mistake(path, f"must be a mapping of what differs from this run, not {change.kind}")]
        own_seed = change.get("seed")
        if own_seed is not None:
            seed = own_seed.value
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
                return [own_seed.mistake(f"{path}.seed", f"a seed is an integer from 0 to {2**32 - 1}, not {seed!r}")]
            change = replace(change, value={key: child for key, child in change.items() if key != "seed"})
        start = self.config(merge(tree, change), seed)
        if isinstance(start, list):
            return [replace(m, path=f"{path}, {m.path}" if m.path else path) for m in start]
        return start

    def _config(self, tree: Node, seed: int) -> RunConfig | list[Mistake]:
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
                mistakes += explain(error, child, SECTIONS[key], key)
        for key, declared in RunConfig.model_fields.items():
            if key not in tree.value and declared.is_required() and key != "seed":
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


def _without_start(tree: Node) -> tuple[Node, Node | None]:
    """A configuration without its `training.init_from`, and that."""
    training = tree.get("training")
    change = training.get("init_from") if training else None
    if training is None or change is None:
        return tree, None
    rest = replace(training, value={key: child for key, child in training.items() if key != "init_from"})
    return replace(tree, value={**tree.value, "training": rest}), None if change.value is None else change
