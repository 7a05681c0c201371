"""pydantic's complaints about a configuration, told in the words of the file that it was written in."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bnnlab.sweep.document import Node
from bnnlab.sweep.mistakes import Mistake, nearest

_EXPECTED = {
    "int_type": "an integer", "int_parsing": "an integer", "int_from_float": "an integer",
    "float_type": "a number", "float_parsing": "a number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "string_type": "text", "path_type": "a path",
    "tuple_type": "a list", "list_type": "a list",
    "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}  # fmt: skip
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_COUNTS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}


def explain(error: ValidationError, tree: Node, annotation: Any, prefix: str = "") -> Iterator[Mistake]:
    """Each error of `error`, placed in `tree`, whose content was validated against `annotation`.

    `prefix` is the key path of `tree` itself, shown in front of every path.
    """
    for detail in error.errors(include_url=False):
        yield _explain_one(detail, tree, annotation, prefix)


def _explain_one(detail: Any, tree: Node, annotation: Any, prefix: str) -> Mistake:
    kind, context = detail["type"], detail.get("ctx", {})
    node, steps, field, missing = _walk(tree, annotation, detail["loc"])
    path = _join(prefix, steps)
    value = _quote(node.value)

    if kind == "extra_forbidden":
        allowed = tuple(sorted(_field_names(field)))
        return node.mistake(
            path, f"unknown field '{steps[-1]}'", at_key=True, allowed=allowed, nearest=nearest(steps[-1], allowed)
        )
    if kind == "missing" and node.is_list:
        return node.mistake(path, f"must have {_length(field)} entries, not {len(node.value)}")
    if kind == "missing":
        return node.mistake(path, f"'{missing}' is required here", at_key=True)
    if kind == "union_tag_not_found":
        return node.mistake(path, "'name' is required here", at_key=True, allowed=_names_of(field))
    if kind == "union_tag_invalid":
        named = node.get("name") or node
        allowed = _names_of(field)
        word = str(named.value)
        return named.mistake(
            _join(path, ["name"]), f"unknown name '{word}'", allowed=allowed, nearest=nearest(word, allowed)
        )
    if kind in ("literal_error", "enum"):
        allowed = tuple(str(a) for a in _literals(field))
        return node.mistake(path, f"unknown value {value}", allowed=allowed, nearest=nearest(node.value, allowed))
    if kind in _EXPECTED:
        return node.mistake(path, f"must be {_EXPECTED[kind]}, not {value}")
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return node.mistake(path, f"must be {words} {context[key]:g}, not {value}")
    if kind == "multiple_of":
        return node.mistake(path, f"must be a multiple of {context['multiple_of']:g}, not {value}")
    if kind in _COUNTS:
        key, words = _COUNTS[kind]
        return node.mistake(path, f"must have {words} {context[key]} entries, not {context.get('actual_length')}")
    return node.mistake(path, detail["msg"].removeprefix("Value error, "))


def _walk(tree: Node, annotation: Any, loc: tuple[Any, ...]) -> tuple[Node, list[str | int], Any, str | None]:
    """Follow a pydantic location through the tree and the types.

    Returns the deepest node that exists, the steps that lead to it, the type that is expected there (for an
    unknown field: the type of the mapping that holds it), and the last step where no node exists for it.
    """
    node, field, steps = tree, annotation, list[str | int]()
    for step in loc:
        child = _child(node, step)
        if child is None:
            branch = _branch(field, step)
            if branch is not None:  # a union's tag, which is in no file
                field = branch
                continue
            return node, steps, field, str(step)
        steps.append(step)
        node = child
        inner = _inner(field, step)
        field = inner if inner is not None else field
    return node, steps, field, None


def _child(node: Node, step: Any) -> Node | None:
    if isinstance(step, int) and isinstance(node.value, list) and step < len(node.value):
        child: Node = node.value[step]
        return child
    return node.get(step) if isinstance(step, str) else None


def _unwrap(annotation: Any) -> list[Any]:
    """The alternatives that an annotation stands for."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrap(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [found for part in get_args(annotation) for found in _unwrap(part)]
    return [annotation]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [a for a in _unwrap(annotation) if isinstance(a, type) and issubclass(a, BaseModel)]


def _names_of(annotation: Any) -> tuple[str, ...]:
    """The names that a union of named models accepts."""
    found = (
        name for model in _models(annotation) if "name" in model.model_fields
        for name in _literals(model.model_fields["name"].annotation)
    )  # fmt: skip
    return tuple(sorted(str(name) for name in found))


def _branch(annotation: Any, tag: Any) -> Any:
    """The member of a union that a tag stands for: by its `name`, its `kind` or the name of its class."""
    for model in _models(annotation):
        tags = [model.model_fields[key].annotation for key in ("name", "kind") if key in model.model_fields]
        if tag == model.__name__ or any(tag in _literals(annotation) for annotation in tags):
            return model
    return None


def _inner(annotation: Any, step: Any) -> Any:
    for part in _unwrap(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel) and step in part.model_fields:
            return part.model_fields[step].annotation
        if isinstance(step, int) and get_origin(part) in (tuple, list):
            arguments = [a for a in get_args(part) if a is not Ellipsis]
            return arguments[min(step, len(arguments) - 1)]
        if get_origin(part) is dict:
            return get_args(part)[1]
    return None


def _length(annotation: Any) -> int:
    """How many entries a tuple has."""
    return next(len(get_args(part)) for part in _unwrap(annotation) if get_origin(part) is tuple)


def _field_names(annotation: Any) -> list[str]:
    return [field for model in _models(annotation) for field in model.model_fields]


def _literals(annotation: Any) -> list[Any]:
    return [v for part in _unwrap(annotation) if get_origin(part) is Literal for v in get_args(part)]


def _quote(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _join(prefix: str, steps: list[Any]) -> str:
    path = prefix
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else (f".{step}" if path else str(step))
    return path
