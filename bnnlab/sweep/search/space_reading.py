"""`space:` of a search as its author wrote it; every mistake at its place."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bnnlab.sweep.document import Node
from bnnlab.sweep.mistakes import Mistake, nearest
from bnnlab.sweep.search.space import Assignment, Distribution, Entry, Parameter, Space
from bnnlab.sweep.spec import label_of

FORMS = ("int", "float", "categorical", "levels", "list")
_EXTRAS = {
    "int": ("step", "log", "when"),
    "float": ("step", "log", "when"),
    "categorical": ("when",),
    "levels": ("when",),
    "list": ("length", "when"),
}
_SEED = "a seed is a replicate, never searched; list the seeds under 'seeds'"


class SpaceReader:
    """Reads a space; what is wrong is gathered in `mistakes`."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._entries: list[Entry] = []

    def read(self, node: Node | None, search: Node) -> Space:
        if node is None or node.value in (None, {}):
            text = "is required: the parameters to search, by the fields that they move"
            self._wrong(node or search, "search.space", text, at_key=True)
            return Space(())
        if not node.is_mapping:
            self._wrong(node, "search.space", f"must be a mapping from fields to what may be chosen, not {node.kind}")
            return Space(())
        for key, child in node.items():
            entry = self._entry(key, child)
            if entry is not None and self._is_new(entry, child):
                self._entries.append(entry)
        return Space(tuple(self._entries))

    def _wrong(self, node: Node, path: str, text: str, **extra: Any) -> None:
        self.mistakes.append(node.mistake(path, text, **extra))

    # -- one entry ---------------------------------------------------------------------------------

    def _entry(self, key: str, node: Node) -> Entry | None:
        path, name = f"search.space, {key}", key.split(".")[-1]
        if name in ("seed", "seeds"):
            self._wrong(node, path, _SEED, at_key=True)
            return None
        if node.is_list:
            return self._choice(Entry(name, path, node, (), key), node)
        if not node.is_mapping or not node.value:
            given = "nothing" if node.value in (None, {}) else node.kind
            self._wrong(node, path, f"must be a list of values or a mapping such as {{int: [1, 8]}}, not {given}")
            return None
        form = next((form for form in FORMS if form in node.value), None)
        if form is None:
            if all(child.is_mapping for _, child in node.items()):
                return self._named(Entry(key, path, node, ()), node)
            word = next(iter(node.value))
            self._wrong(
                node.value[word], f"{path}.{word}", f"unknown kind of parameter '{word}'",
                at_key=True, allowed=FORMS, nearest=nearest(word, FORMS),
            )  # fmt: skip
            return None
        if {"int", "float"} <= node.value.keys():
            self._wrong(node, path, "is int or float, not both", at_key=True)
            return None
        self._known_keys(node, (form, *_EXTRAS[form]), path)
        entry = Entry(key if form == "levels" else name, path, node, (), key, when=self._when(node.get("when"), path))
        match form:
            case "levels":
                return self._named(entry, node.value["levels"])
            case "categorical":
                return self._choice(entry, node.value["categorical"])
            case "list":
                return self._list(entry, node)
            case _:
                parameter = self._number(name, node, path)
                return None if parameter is None else _with(entry, parts=(parameter,))

    def _is_new(self, entry: Entry, node: Node) -> bool:
        new = True
        for other in self._entries:
            for name in sorted({p.name for p in entry.parameters} & {p.name for p in other.parameters}):
                self._wrong(
                    node, entry.path,
                    f"a second parameter '{name}'; give one of them named levels under a name of its own", at_key=True,
                )  # fmt: skip
                new = False
            for mine in sorted(entry.moves):
                if any(_overlap(mine, theirs) for theirs in other.moves) and not self._never_together(entry, other):
                    text = f"moves '{mine}', which parameter '{other.name}' moves as well"
                    self._wrong(node, entry.path, text, at_key=True)
        return new

    def _never_together(self, entry: Entry, other: Entry) -> bool:
        """Whether both depend on one parent, under labels that exclude each other."""
        theirs = dict(other.when)
        return any(parent in theirs and not labels & theirs[parent] for parent, labels in entry.when)

    def _known_keys(self, node: Node, allowed: tuple[str, ...], path: str) -> None:
        for key, child in node.items():
            if key not in allowed:
                hint = nearest(key, allowed)
                text = f"unknown key '{key}'"
                self._wrong(child, f"{path}.{key}", text, at_key=True, allowed=allowed, nearest=hint)

    # -- numbers -----------------------------------------------------------------------------------

    def _number(self, name: str, node: Node, path: str) -> Parameter | None:
        kind = "int" if "int" in node.value else "float"
        ends = node.value[kind]
        path = f"{path}.{kind}"
        if not ends.is_list or len(ends.value) != 2:
            self._wrong(ends, path, f"must be [lowest, highest], not {shown(ends)}")
            return None
        are_numbers = [self._is_number(end, kind, f"{path}[{i}]") for i, end in enumerate(ends.value)]
        if not all(are_numbers):
            return None
        low, high = ends.value
        step, log = self._step(node, kind, path), self._log(node, path)
        if step is False or log is None:
            return None
        if low.value > high.value:
            self._wrong(ends, path, f"is empty: {low.value} is more than {high.value}")
        elif low.value == high.value:
            self._wrong(ends, path, f"has one value; put {low.value} in the base instead")
        elif log and low.value < (1 if kind == "int" else 5e-324):
            least = "at least 1" if kind == "int" else "more than 0"
            self._wrong(low, f"{path}[0]", f"must be {least} where log is true, not {low.value}")
        elif log and step is not None:
            self._wrong(node.value["step"], f"{_up(path)}.step", "and 'log: true' exclude each other", at_key=True)
        elif step is not None and (Fraction(repr(high.value)) - Fraction(repr(low.value))) % Fraction(repr(step)):
            last = low.value + (high.value - low.value) // step * step
            text = f"never hits {high.value}: from {low.value} in steps of {step:g} the last is {last:g}"
            self._wrong(node.value["step"], f"{_up(path)}.step", text)
        else:
            return Parameter(name, _range(kind, low.value, high.value, step, log), node, low, high, node.get("step"))
        return None

    def _is_number(self, node: Node, kind: str, path: str) -> bool:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int if kind == "int" else (int, float)):
            what = "an integer" if kind == "int" else "a number"
            self._wrong(node, path, f"must be {what}, not {shown(node)}")
            return False
        if value != value or value in (float("inf"), float("-inf")):
            self._wrong(node, path, "must be a finite number")
            return False
        return True

    def _step(self, node: Node, kind: str, path: str) -> int | float | bool | None:
        """The step, None without one, False where it is wrong."""
        step = node.get("step")
        if step is None:
            return None
        path = f"{_up(path)}.step"
        if not self._is_number(step, kind, path):
            return False
        if step.value <= 0:
            self._wrong(step, path, f"must be more than 0, not {step.value}")
            return False
        return step.value  # type: ignore[no-any-return]

    def _log(self, node: Node, path: str) -> bool | None:
        log = node.get("log")
        if log is None or isinstance(log.value, bool):
            return bool(log and log.value)
        self._wrong(log, f"{_up(path)}.log", f"must be true or false, not {shown(log)}")
        return None

    # -- words, levels, lists ----------------------------------------------------------------------

    def _choice(self, entry: Entry, node: Node) -> Entry | None:
        path = entry.path
        if not node.is_list or not node.value:
            self._wrong(node, path, "is empty" if node.is_list else f"must be a list of values, not {node.kind}")
            return None
        levels: dict[str, tuple[Assignment, ...]] = {}
        for index, value in enumerate(node.value):
            label = label_of(value.plain())
            if label in levels:
                self._wrong(value, f"{path}[{index}]", f"value '{label}' is here twice")
            placed = Node(value.value, value.source, value.mark, entry.node.key_mark)
            levels[label] = ((entry.field or entry.name, placed),)
        return self._with_levels(entry, levels, node)

    def _named(self, entry: Entry, node: Node) -> Entry | None:
        if not node.is_mapping or not node.value:
            what = "has no levels" if not node.value else f"must be a mapping of named levels, not {node.kind}"
            self._wrong(node, entry.path, what)
            return None
        levels: dict[str, tuple[Assignment, ...]] = {}
        before = len(self.mistakes)
        for label, moves in node.items():
            path = f"{entry.path}.{label}"
            if not moves.is_mapping:
                self._wrong(moves, path, f"a named level is a mapping of fields, not {moves.kind}")
                continue
            for moved, value in moves.items():
                if moved.split(".")[-1] == "seed":
                    self._wrong(value, f"{path}.{moved}", _SEED, at_key=True)
            levels[label] = tuple((p, v) for p, v in moves.items() if p.split(".")[-1] != "seed")
        return self._with_levels(_with(entry, field=None), levels, node) if len(self.mistakes) == before else None

    def _with_levels(self, entry: Entry, levels: Mapping[str, tuple[Assignment, ...]], node: Node) -> Entry | None:
        if len(levels) == 1:
            self._wrong(node, entry.path, f"has one value; put '{next(iter(levels))}' in the base instead")
        if len(levels) < 2:
            return None
        parameter = Parameter(entry.name, CategoricalDistribution(tuple(levels)), entry.node)
        return _with(entry, parts=(parameter,), levels=levels)

    def _list(self, entry: Entry, node: Node) -> Entry | None:
        elements, length = node.value["list"], node.get("length")
        if length is not None:
            count = length.value
            if not elements.is_mapping or isinstance(count, bool) or not isinstance(count, int) or count < 1:
                self._wrong(length, f"{entry.path}.length", "repeats one element such as {int: [1, 8]} 1 or more times")
                return None
            children = [elements] * count
        elif elements.is_list and elements.value:
            children = elements.value
        else:
            what = "a list of elements, or one element with a 'length'"
            self._wrong(elements, f"{entry.path}.list", f"must be {what}, not {shown(elements)}")
            return None
        parts: list[Parameter | Node] = []
        for index, child in enumerate(children):
            part = self._element(f"{entry.name}_{index + 1}", child, f"{entry.path}.list[{index}]")
            if part is None:
                return None
            parts.append(part)
        if not any(isinstance(part, Parameter) for part in parts):
            self._wrong(elements, f"{entry.path}.list", "has no parameter among its elements; put it in the base")
            return None
        return _with(entry, parts=tuple(parts), is_list=True)

    def _element(self, name: str, node: Node, path: str) -> Parameter | Node | None:
        if not node.is_mapping:
            return node
        if "int" not in node.value and "float" not in node.value:
            word = next(iter(node.value), "")
            self._wrong(
                node, path, f"an element is a value or a range, not '{word}'",
                allowed=("int", "float"), nearest=nearest(word, ("int", "float")),
            )  # fmt: skip
            return None
        self._known_keys(node, ("int", "float", "step", "log"), path)
        return self._number(name, node, path)

    def _when(self, node: Node | None, path: str) -> tuple[tuple[str, frozenset[str]], ...]:
        if node is None:
            return ()
        path = f"{path}.when"
        if not node.is_mapping or not node.value:
            self._wrong(node, path, f"must be a mapping such as {{optimizer: sgd}}, not {shown(node)}")
            return ()
        known = {p.name: p for entry in self._entries for p in entry.parameters}
        found = []
        for parent, child in node.items():
            if parent not in known:
                allowed = tuple(known)
                self._wrong(
                    child, f"{path}.{parent}", f"no parameter '{parent}' is written above this one",
                    at_key=True, allowed=allowed, nearest=nearest(parent, allowed),
                )  # fmt: skip
                continue
            values = known[parent].values()
            labels = [label_of(value) for value in values or ()]
            chosen = child.value if child.is_list else [child]
            for value in chosen:
                label = label_of(value.plain())
                if values is None:
                    text = f"'{parent}' is not countable; only words, integers and steps can decide what is searched"
                    self._wrong(child, f"{path}.{parent}", text, at_key=True)
                    break
                if label not in labels:
                    text = f"parameter '{parent}' has no value '{label}'"
                    hint = nearest(label, labels)
                    self._wrong(value, f"{path}.{parent}", text, allowed=tuple(labels), nearest=hint)
            found.append((parent, frozenset(label_of(value.plain()) for value in chosen)))
        return tuple(found)


def _with(entry: Entry, **changes: Any) -> Entry:
    return Entry(**{**vars(entry), **changes})


def _range(kind: str, low: Any, high: Any, step: Any, log: bool) -> Distribution:
    if kind == "int":
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=None if step is None else float(step))


def _up(path: str) -> str:
    return path.rpartition(".")[0]


def shown(node: Node) -> str:
    """A value as a message quotes it."""
    value = node.plain()
    if isinstance(value, str):
        return f"'{value}'"
    if value is None or isinstance(value, dict):
        return node.kind
    return label_of(value) if not isinstance(value, list) else f"[{', '.join(label_of(v) for v in value)}]"


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(other + ".") or other.startswith(one + ".")
