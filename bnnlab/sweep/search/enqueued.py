"""`enqueue:` of a search: the trials that its author wants first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from optuna.distributions import CategoricalDistribution, IntDistribution

from bnnlab.sweep.document import Node
from bnnlab.sweep.mistakes import Mistake, nearest
from bnnlab.sweep.search.space import Entry, Parameter, Point, Space, Value
from bnnlab.sweep.search.space_reading import shown
from bnnlab.sweep.spec import label_of


@dataclass(frozen=True)
class Enqueued:
    """A trial that the author wants first, such as a network of the paper."""

    name: str
    point: Point
    """Parameters that it leaves out are sampled."""
    node: Node = field(repr=False)


def read_enqueued(node: Node | None, space: Space) -> tuple[tuple[Enqueued, ...], list[Mistake]]:
    """The first trials, and what is wrong with any of them."""
    mistakes: list[Mistake] = []
    if node is None or node.value is None:
        return (), mistakes
    path = "search.enqueue"
    if not node.is_mapping:
        text = f"must be a mapping from names to points, such as {{small: {{growth_rate: 16}}}}, not {node.kind}"
        return (), [node.mistake(path, text)]
    found: dict[str, Enqueued] = {}
    for name, child in node.items():
        if not child.is_mapping or not child.value:
            what = "nothing" if child.value in (None, {}) else child.kind
            mistakes.append(child.mistake(f"{path}.{name}", f"must be a mapping of parameters, not {what}"))
            continue
        point, wrong = _read_point(child, space, f"{path}.{name}")
        twin = next((other.name for other in found.values() if other.point == point), None)
        if twin is not None and not wrong:
            wrong = [child.mistake(f"{path}.{name}", f"is the same point as '{twin}'", at_key=True)]
        mistakes += wrong
        if not wrong:
            found[name] = Enqueued(name, point, child)
    return tuple(found.values()), mistakes


def _read_point(node: Node, space: Space, path: str) -> tuple[dict[str, Value], list[Mistake]]:
    known = {parameter.name: parameter for parameter in space.parameters}
    lists = {entry.name: entry for entry in space.entries if entry.is_list}
    mistakes: list[Mistake] = []
    given: dict[str, tuple[Parameter, Node]] = {}
    for key, child in node.items():
        if key in known:
            given[key] = (known[key], child)
        elif key in lists:
            mistakes += _spread(lists[key], child, f"{path}.{key}", given)
        else:
            plain = [p.name for entry in space.entries if not entry.is_list for p in entry.parameters]
            allowed = (*lists, *plain)
            hint = nearest(key, [*allowed, *known])
            mistakes.append(
                child.mistake(f"{path}.{key}", f"no parameter '{key}'", at_key=True, allowed=allowed, nearest=hint)
            )
    point: dict[str, Value] = {}
    for name, (parameter, child) in given.items():
        value = _read_value(parameter, child)
        if value is None:
            text = f"{shown(child)} is not in the space of '{name}'"
            allowed = (parameter.describe(),)
            mistakes.append(child.mistake(f"{path}.{name}", text, allowed=allowed))
        else:
            point[name] = value
    return point, mistakes or list(_inactive(space, point, node, path))


def _spread(entry: Entry, node: Node, path: str, given: dict[str, tuple[Parameter, Node]]) -> Iterable[Mistake]:
    """A whole list given under the name of its field: each element to its parameter."""
    if not node.is_list or len(node.value) != len(entry.parts):
        yield node.mistake(path, f"must be a list of {len(entry.parts)} values, not {shown(node)}")
        return
    for index, (part, child) in enumerate(zip(entry.parts, node.value, strict=True)):
        if isinstance(part, Parameter):
            given[part.name] = (part, child)
        elif part.plain() != child.plain():
            yield child.mistake(f"{path}[{index}]", f"is {shown(part)} in each trial of this search")


def _read_value(parameter: Parameter, node: Node) -> Value | None:
    value = node.plain()
    if isinstance(parameter.distribution, CategoricalDistribution):
        label = label_of(value)
        return label if label in parameter.distribution.choices else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(parameter.distribution, IntDistribution) and not isinstance(value, int):
        return None
    if not parameter.distribution.low <= value <= parameter.distribution.high:
        return None
    exact = parameter.exact(value if isinstance(parameter.distribution, IntDistribution) else float(value))
    values = parameter.values() if parameter.distribution.step is not None else None
    return exact if exact == value and (values is None or exact in values) else None


def _inactive(space: Space, point: Mapping[str, Value], node: Node, path: str) -> Iterable[Mistake]:
    for entry in space.entries:
        parents = [parent for parent, _ in entry.when]
        if all(parent in point for parent in parents) and not space.is_active(entry, point):
            for parameter in entry.parameters:
                if parameter.name in point:
                    where = ", ".join(f"{parent} is {point[parent]}" for parent in parents)
                    child = node.get(parameter.name) or node.get(entry.name) or node
                    text = f"is not searched where {where}"
                    yield child.mistake(f"{path}.{parameter.name}", text, at_key=True)
