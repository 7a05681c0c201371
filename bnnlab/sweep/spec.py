"""A study as its author wrote it: base, axes, seeds, exclusions, profiles, claims; every part knows its place.

`load_spec` reads what can be judged without expanding the axes; `plan.make_plan` expands and judges the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnnlab.paper.observation import level_label
from bnnlab.paper.published import TABLES
from bnnlab.sweep.document import Node, assign, load_document, merge, parse_value
from bnnlab.sweep.mistakes import Mark, Mistake, Source, SpecError, nearest
from bnnlab.sweep.search.profile import merge_search

STUDY_KEYS = (
    "name", "question", "compare_with", "dashboard", "notes",
    "base", "axes", "search", "seeds", "exclude", "profiles", "claims",
)  # fmt: skip
PROFILE_KEYS = ("base", "axes", "search", "seeds", "exclude", "claims", "compare_with", "dashboard", "notes")
BASE_KEYS = ("model", "data", "training", "evaluation")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Level:
    """One value of an axis: its label, and the fields it moves."""

    label: str
    assignments: tuple[tuple[str, Node], ...]
    node: Node


@dataclass(frozen=True)
class Axis:
    """A direction in which a study varies; its levels each move one field or several together."""

    name: str
    levels: tuple[Level, ...]
    node: Node
    path: str
    """Key path in the file, for messages."""

    @property
    def moves(self) -> frozenset[str]:
        return frozenset(path for level in self.levels for path, _ in level.assignments)


@dataclass(frozen=True)
class Exclusion:
    """Points left out: those whose axes all have one of the named levels."""

    levels: tuple[tuple[str, frozenset[str]], ...]
    node: Node
    path: str

    def covers(self, axes: dict[str, str]) -> bool:
        return all(axes.get(axis) in labels for axis, labels in self.levels)


@dataclass(frozen=True)
class Spec:
    """A study under one profile, before its axes are expanded."""

    name: str
    question: str
    profile: str
    profiles: tuple[str, ...]
    base: Node
    blocks: tuple[tuple[Axis, ...], ...]
    seeds: tuple[int, ...]
    exclusions: tuple[Exclusion, ...]
    claims: Node | None
    compare_with: str | None
    dashboard: str | None
    settings: tuple[str, ...]
    document: Node
    text: str
    search: Node | None = None
    """What makes this spec a search in place of a study, read by `search.spec`."""
    mistakes: tuple[Mistake, ...] = field(default=(), repr=False)
    """What is wrong so far; `make_plan` raises these together with its own findings."""


def load_spec(
    path: Path, *, profile: str | None = None, settings: Sequence[str] = (), seeds: int | None = None
) -> Spec:
    """Read a study from `path` under a profile (default: the first) with `--set` settings applied.

    Raises SpecError where the file cannot be read at all; other mistakes are gathered in `Spec.mistakes`.
    """
    document = load_document(path)
    text = path.read_text(encoding="utf-8-sig")
    return _Reader(document, path.stem).read(text, profile, tuple(settings), seeds)


class _Reader:
    def __init__(self, document: Node, stem: str) -> None:
        self.document = document
        self.stem = stem
        self.mistakes: list[Mistake] = []

    def read(self, text: str, profile: str | None, settings: tuple[str, ...], seeds: int | None) -> Spec:
        document = self.document
        self._known_keys(document, STUDY_KEYS, "")
        profiles, chosen, delta = self._profile(profile)
        merged = document if delta is None else self._with_profile(document, delta)
        base = self._base(merged)
        blocks = self._blocks(merged.get("axes"))
        base = self._with_settings(base, settings, blocks)
        return Spec(
            name=self._name(),
            question=self._text(document, "question"),
            profile=chosen,
            profiles=profiles,
            base=base,
            blocks=blocks,
            seeds=self._seeds(merged, seeds),
            exclusions=self._exclusions(merged.get("exclude"), blocks),
            claims=merged.get("claims"),
            compare_with=self._one_of(merged, "compare_with", tuple(TABLES)),
            dashboard=self._text(merged, "dashboard") or None,
            settings=settings,
            document=document,
            text=text,
            search=merge_search(document.get("search"), delta.get("search") if delta else None),
            mistakes=tuple(self.mistakes),
        )

    def wrong(self, node: Node, path: str, text: str, **extra: Any) -> None:
        self.mistakes.append(node.mistake(path, text, **extra))

    def _known_keys(self, node: Node, allowed: tuple[str, ...], path: str) -> None:
        for key, child in node.items():
            if key not in allowed:
                where = f"{path}.{key}" if path else key
                self.wrong(
                    child, where, f"unknown key '{key}'", at_key=True, allowed=allowed, nearest=nearest(key, allowed)
                )

    def _text(self, node: Node, key: str) -> str:
        child = node.get(key)
        if child is None:
            return ""
        if not isinstance(child.value, str):
            self.wrong(child, key, f"must be text, not {child.kind}")
            return ""
        return child.value

    def _one_of(self, node: Node, key: str, allowed: tuple[str, ...]) -> str | None:
        word = self._text(node, key) or None
        child = node.get(key)
        if word is not None and word not in allowed and child is not None:
            self.wrong(child, key, f"unknown table '{word}'", allowed=allowed, nearest=nearest(word, allowed))
        return word

    def _name(self) -> str:
        node = self.document.get("name")
        if node is None:
            return self.stem
        name = node.value
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.wrong(node, "name", "must be letters, digits, '_', '-' and '.', as it names an MLflow experiment")
            return self.stem
        return name

    def _profile(self, wanted: str | None) -> tuple[tuple[str, ...], str, Node | None]:
        node = self.document.get("profiles")
        if node is not None and not node.is_mapping:
            self.wrong(node, "profiles", f"must be a mapping from names to changes, not {node.kind}")
            node = None
        names = tuple(node.value) if node else ()
        for name, delta in node.items() if node else ():
            if delta.value is not None and not delta.is_mapping:
                self.wrong(delta, f"profiles.{name}", f"must be a mapping of changes, not {delta.kind}")
            self._known_keys(delta, PROFILE_KEYS, f"profiles.{name}")
        if wanted is not None and wanted not in names:
            source = Source("command line", (f"--profile {wanted}",))
            mark = Mark(1, 11, 11 + len(wanted))
            text = f"unknown profile '{wanted}'" if names else "this study has no profiles"
            self.mistakes.append(Mistake(source, mark, "", text, names, nearest(wanted, names)))
            wanted = None
        chosen = wanted or next(iter(names), "default")
        found = node.get(chosen) if node else None
        return names, chosen, found if found is not None and found.is_mapping else None

    def _with_profile(self, document: Node, delta: Node) -> Node:
        """Base, axes and claims merge by name; seeds, exclusions and plain values are replaced."""
        own, theirs = document.get("axes"), delta.get("axes")
        if own is not None and theirs is not None and own.is_mapping and theirs.is_mapping:
            # A profile's levels replace those of the axis that they name: half an axis would be nobody's intention.
            axes = Node({**own.value, **theirs.value}, *_place(theirs))
            document = Node({key: child for key, child in document.items() if key != "axes"}, *_place(document))
            delta = Node({**delta.value, "axes": axes}, *_place(delta))
        return merge(document, delta)

    def _base(self, merged: Node) -> Node:
        base = merged.get("base")
        if base is None:
            self.wrong(self.document, "", "'base' is required: the configuration that the axes vary")
            return Node({}, *_place(self.document))
        if not base.is_mapping:
            self.wrong(base, "base", f"must be a mapping, not {base.kind}")
            return Node({}, *_place(base))
        seed = base.get("seed")
        if seed is not None:
            self.wrong(seed, "base.seed", "a seed is a replicate; list the seeds under 'seeds'", at_key=True)
            base = Node({k: v for k, v in base.items() if k != "seed"}, *_place(base))
        return base

    def _blocks(self, node: Node | None) -> tuple[tuple[Axis, ...], ...]:
        if node is None:
            return ((),)
        if node.is_list:
            if not node.value:
                self.wrong(node, "axes", "is empty; leave it out for a study of one cell")
            return tuple(self._block(block, f"axes[{i}]") for i, block in enumerate(node.value)) or ((),)
        return (self._block(node, "axes"),)

    def _block(self, node: Node, path: str) -> tuple[Axis, ...]:
        if not node.is_mapping or not node.value:
            what = "is empty" if not node.value else f"must be a mapping from fields to values, not {node.kind}"
            self.wrong(node, path, what)
            return ()
        axes: dict[str, Axis] = {}
        for key, child in node.items():
            axis = self._axis(key, child, f"{path}, {key}")
            if axis is None:
                continue
            if axis.name in axes:
                self.wrong(
                    child, axis.path, f"a second axis '{axis.name}'; give one of them named levels under a name "
                    "of its own", at_key=True,
                )  # fmt: skip
                continue
            for other in axes.values():
                for mine in sorted(axis.moves):
                    clash = next((o for o in sorted(other.moves) if _overlap(mine, o)), None)
                    if clash:
                        self.wrong(
                            child, axis.path, f"moves '{mine}', which axis '{other.name}' moves as well", at_key=True
                        )
            axes[axis.name] = axis
        return tuple(axes.values())

    def _axis(self, key: str, node: Node, path: str) -> Axis | None:
        if key.split(".")[-1] in ("seed", "seeds"):
            self.wrong(node, path, "a seed is a replicate, never an axis; list the seeds under 'seeds'", at_key=True)
            return None
        if node.is_list:
            levels = self._field_levels(key, node, path)
            name = key.split(".")[-1]
        elif node.is_mapping:
            levels = self._named_levels(node, path)
            name = key
        else:
            self.wrong(node, path, f"must be a list of values or a mapping of named levels, not {node.kind}")
            return None
        if not node.value:
            self.wrong(node, path, "has no levels")
            return None
        return Axis(name, tuple(levels), node, path)

    def _field_levels(self, key: str, node: Node, path: str) -> list[Level]:
        levels: list[Level] = []
        seen: dict[str, int] = {}
        for index, value in enumerate(node.value):
            label = label_of(value.plain())
            if label in seen:
                self.wrong(value, f"{path}[{index}]", f"level '{label}' is here twice, first as [{seen[label]}]")
                continue
            seen[label] = index
            placed = Node(value.value, value.source, value.mark, node.key_mark)
            levels.append(Level(label, ((key, placed),), value))
        return levels

    def _named_levels(self, node: Node, path: str) -> list[Level]:
        levels: list[Level] = []
        for label, moves in node.items():
            if not moves.is_mapping:
                self.wrong(moves, f"{path}.{label}", f"a named level is a mapping of fields, not {moves.kind}")
                continue
            for field_path, value in moves.items():
                if field_path.split(".")[-1] == "seed":
                    self.wrong(
                        value, f"{path}.{label}.{field_path}",
                        "a seed is a replicate, never part of an axis; list the seeds under 'seeds'", at_key=True,
                    )  # fmt: skip
            assignments = tuple((p, v) for p, v in moves.items() if p.split(".")[-1] != "seed")
            levels.append(Level(label, assignments, moves))
        return levels

    def _seeds(self, merged: Node, count: int | None) -> tuple[int, ...]:
        if count is not None:
            if count < 1:
                source = Source("command line", (f"--seeds {count}",))
                mark = Mark(1, 9, 9 + len(str(count)))
                self.mistakes.append(Mistake(source, mark, "", f"must be at least 1, not {count}"))
            return tuple(range(max(count, 1)))
        node = merged.get("seeds")
        if node is None:
            return (0,)
        if not node.is_list or not node.value:
            what = "is empty" if node.is_list else f"must be a list of integers, not {node.kind}"
            self.wrong(node, "seeds", what)
            return (0,)
        seeds: list[int] = []
        for index, child in enumerate(node.value):
            seed = child.value
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
                self.wrong(child, f"seeds[{index}]", f"a seed is an integer from 0 to {2**32 - 1}, not {child.value!r}")
            elif seed in seeds:
                self.wrong(child, f"seeds[{index}]", f"seed {seed} is here twice")
            else:
                seeds.append(seed)
        return tuple(seeds) or (0,)

    def _exclusions(self, node: Node | None, blocks: tuple[tuple[Axis, ...], ...]) -> tuple[Exclusion, ...]:
        if node is None or node.value is None:
            return ()
        if not node.is_list:
            self.wrong(node, "exclude", f"must be a list of points, not {node.kind}")
            return ()
        axes = {axis.name: axis for block in blocks for axis in block}
        found = []
        for index, point in enumerate(node.value):
            path = f"exclude[{index}]"
            if not point.is_mapping or not point.value:
                self.wrong(point, path, "must be a mapping from axes to levels, such as {scaling: xnor}")
                continue
            levels = [self._excluded_levels(name, child, axes, path) for name, child in point.items()]
            if all(level is not None for level in levels):
                found.append(Exclusion(tuple(level for level in levels if level), point, path))
        return tuple(found)

    def _excluded_levels(
        self, name: str, node: Node, axes: dict[str, Axis], path: str
    ) -> tuple[str, frozenset[str]] | None:
        path = f"{path}.{name}"
        if name not in axes:
            allowed = tuple(axes)
            self.wrong(node, path, f"no axis '{name}'", at_key=True, allowed=allowed, nearest=nearest(name, allowed))
            return None
        known = tuple(level.label for level in axes[name].levels)
        labels = set()
        for child in node.value if node.is_list else [node]:
            label = label_of(child.plain())
            labels.add(label)
            if label not in known:
                self.wrong(
                    child, path, f"axis '{name}' has no level '{label}'", allowed=known, nearest=nearest(label, known)
                )
                return None
        return name, frozenset(labels)

    def _with_settings(self, base: Node, settings: tuple[str, ...], blocks: tuple[tuple[Axis, ...], ...]) -> Node:
        for setting in settings:
            source = Source("command line", (f"--set {setting}",))
            path, equals, text = setting.partition("=")
            mark = Mark(1, 7, 7 + max(1, len(path)))
            top = path.split(".")[0]
            axis = next((a for block in blocks for a in block for m in a.moves if _overlap(path, m)), None)
            if not equals or not path:
                wrong = "takes path=value, such as training.epochs=3"
                self.mistakes.append(Mistake(source, mark, "", wrong))
            elif top in ("seed", "seeds"):
                self.mistakes.append(Mistake(source, mark, "", "seeds are chosen with --seeds N"))
            elif top not in BASE_KEYS:
                hint = nearest(top, BASE_KEYS)
                self.mistakes.append(Mistake(source, mark, "", f"unknown field '{top}'", BASE_KEYS, hint))
            elif axis is not None:
                wrong = f"'{path}' is moved by axis '{axis.name}'; edit the axis instead"
                self.mistakes.append(Mistake(source, mark, "", wrong))
            else:
                base = self._set(base, path, text, source, mark)
        return base

    def _set(self, base: Node, path: str, text: str, source: Source, key_mark: Mark) -> Node:
        try:
            value = parse_value(text, source)
        except SpecError as error:
            self.mistakes += [
                Mistake(source, Mark(1, key_mark.end + 1, key_mark.end + 2), path, m.text) for m in error.mistakes
            ]
            return base
        mark = Mark(1, key_mark.end + 1, key_mark.end + 1 + max(1, len(text)))
        return assign(base, path, Node(value.value, source, mark, key_mark))


def label_of(value: Any) -> str:
    """The label of an axis level: its value in one canonical spelling.

    >>> [label_of(v) for v in ("ste", True, 1.30, [6, 6, 6, 5], {"name": "sgd"})]
    ['ste', 'true', '1.3', '6-6-6-5', 'sgd']
    """
    if isinstance(value, list):
        return "-".join(label_of(v) for v in value) or "[]"
    if isinstance(value, dict):
        rest = [f"{k}={label_of(v)}" for k, v in value.items() if k != "name"]
        return ",".join(([str(value["name"])] if "name" in value else []) + rest) or "{}"
    return level_label(value)


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + ".") or other.startswith(one + ".")


def _place(node: Node) -> tuple[Source, Mark, Mark | None]:
    return node.source, node.mark, node.key_mark
