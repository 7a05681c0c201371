"""A YAML file as a tree whose every key and value knows its place.

YAML 1.2 (`no` is a word, `1e-3` a number). Merging two trees keeps the places, so that a mistake in a merged
configuration is shown where its author wrote it: in the base, a profile, an axis level or on the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from bnnlab.sweep.mistakes import Mark, Mistake, Source, SpecError

type_names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}

MAX_DEPTH = 32
"""Deeper nesting is a mistake or an attack; no spec of ours goes past eight."""
MAX_NODES = 200_000
"""Aliases can unfold a short file into billions of nodes."""
MAX_BYTES = 10_000_000
_SCALAR_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str")}
_COLLECTION_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the document with its place; mappings are dicts and sequences lists of nodes."""

    value: Any
    source: Source
    mark: Mark
    key_mark: Mark | None = None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    @property
    def kind(self) -> str:
        """What a reader would call this value."""
        return type_names.get(type(self.value), "a number")

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if isinstance(self.value, dict) else None

    def items(self) -> Iterator[tuple[str, Node]]:
        return iter(self.value.items()) if isinstance(self.value, dict) else iter(())

    def mistake(
        self, path: str, text: str, *, at_key: bool = False, allowed: tuple[str, ...] = (), nearest: str | None = None
    ) -> Mistake:
        """A mistake at this value, or at its key."""
        mark = self.key_mark if at_key and self.key_mark else self.mark
        return Mistake(self.source, mark, path, text, allowed, nearest)


def merge(under: Node | None, over: Node) -> Node:
    """`over` laid upon `under`: mappings merge key by key, anything else is replaced.

    A mapping whose `name` changes is replaced as a whole: the arguments of one optimizer are not another's.
    """
    if under is None or not (under.is_mapping and over.is_mapping):
        return over
    renamed = over.get("name"), under.get("name")
    if renamed[0] is not None and renamed[1] is not None and renamed[0].value != renamed[1].value:
        return over
    merged = dict(under.value)
    for key, child in over.value.items():
        merged[key] = merge(merged.get(key), child)
    return replace(over, value=merged)


def assign(tree: Node, path: str, value: Node) -> Node:
    """`tree` with `value` merged in at a dotted path; steps that are missing are made."""
    for key in reversed(path.split(".")):
        value = Node({key: value}, value.source, value.mark, value.key_mark)
    return _merge_steps(tree, value, path.count(".") + 1)


def _merge_steps(under: Node, over: Node, steps: int) -> Node:
    # The steps themselves never replace (an axis over `training.optimizer.name` keeps the learning rate beside it).
    if steps == 0 or not under.is_mapping:
        return merge(under, over)
    merged = dict(under.value)
    for key, child in over.value.items():
        merged[key] = _merge_steps(merged[key], child, steps - 1) if key in merged else child
    return replace(under, value=merged)


def load_document(path: Path) -> Node:
    """Read a YAML file. Raises SpecError at the first place where it cannot be read as a mapping."""
    source = Source(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SpecError([Mistake(source, None, "", f"larger than {MAX_BYTES // 1_000_000} MB; not a spec")])
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError([Mistake(source, None, "", _why_unreadable(path, error))]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        what = f"not UTF-8 text (byte 0x{raw[error.start]:02x})"
        raise SpecError([Mistake(source, Mark(line, column, column + 1), "", what)]) from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Node:
    """Parse a YAML text into a mapping. Raises SpecError."""
    source = Source(name, tuple(text.splitlines()))
    root = parse_value(text, source)
    if not root.is_mapping:
        what = "the file is empty" if root.value is None else f"a spec is a mapping of keys, not {root.kind}"
        raise SpecError([Mistake(source, root.mark, "", what)])
    return root


def parse_value(text: str, source: Source) -> Node:
    """Parse any YAML value. Raises SpecError."""
    reader = YAML(typ="safe", pure=True)
    try:
        tree = reader.compose(text)
    except MarkedYAMLError as error:
        raise SpecError([_syntax_mistake(source, error)]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        what = f"character {error.character!r} is not allowed in YAML"
        raise SpecError([Mistake(source, Mark(line, column, column + 1), "", what)]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise SpecError([Mistake(source, None, "", f"not YAML: {str(error).splitlines()[0]}")]) from None
    if tree is None:
        return Node(None, source, Mark(1, 1, 2))
    return _Converter(source, reader).root(tree)


class _Converter:
    """One document's YAML nodes to ours; gathers every mistake before it raises."""

    def __init__(self, source: Source, reader: YAML) -> None:
        self.source = source
        self.reader = reader
        self.mistakes: list[Mistake] = []
        self.count = 0

    def root(self, tree: Any) -> Node:
        node = self.convert(tree, "", None, ())
        if self.mistakes:
            raise SpecError(self.mistakes)
        return node

    def convert(self, node: Any, path: str, key_mark: Mark | None, parents: tuple[int, ...]) -> Node:
        mark = _mark(node)
        self.count += 1
        if id(node) in parents:
            self._wrong(mark, path, "an alias that contains itself")
            return Node(None, self.source, mark, key_mark)
        if len(parents) > MAX_DEPTH or self.count > MAX_NODES:
            raise SpecError([Mistake(self.source, mark, path, "too deep or too large to be a spec")])
        inside = (*parents, id(node))
        if not isinstance(node, ScalarNode) and str(node.tag) not in _COLLECTION_TAGS:
            self._wrong(mark, path, f"YAML tag '{node.tag}' has no meaning here")
        if isinstance(node, MappingNode):
            return Node(self._mapping(node, path, inside), self.source, mark, key_mark)
        if isinstance(node, SequenceNode):
            children = [self.convert(child, f"{path}[{i}]", None, inside) for i, child in enumerate(node.value)]
            return Node(children, self.source, mark, key_mark)
        return Node(self._scalar(node, path), self.source, mark, key_mark)

    def _mapping(self, node: MappingNode, path: str, parents: tuple[int, ...]) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            mark = _mark(key)
            if not isinstance(key, ScalarNode):
                self._wrong(mark, path, "a key must be a single word, not a list or a mapping")
                continue
            if key.tag == _MERGE_TAG:
                merged.update(self._merged(value, path, parents))
                continue
            name = str(key.value)
            if name in own:
                first = own[name].key_mark
                self._wrong(mark, path, f"key '{name}' is here twice, first in line {first.line if first else '?'}")
                continue
            own[name] = self.convert(value, f"{path}.{name}" if path else name, mark, parents)
        return {**merged, **own}

    def _merged(self, value: Any, path: str, parents: tuple[int, ...]) -> Mapping[str, Node]:
        parts = value.value if isinstance(value, SequenceNode) else [value]
        found: dict[str, Node] = {}
        for part in reversed(parts):
            if isinstance(part, MappingNode):
                found.update(self.convert(part, path, None, parents).value or {})
            else:
                self._wrong(_mark(part), path, "'<<' takes a mapping or a list of mappings")
        return found

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        tag = str(node.tag)
        if tag == "tag:yaml.org,2002:timestamp":
            return node.value
        if tag not in _SCALAR_TAGS:
            self._wrong(_mark(node), path, f"YAML tag '{tag}' has no meaning here")
            return None
        try:
            return self.reader.constructor.construct_object(node)
        except (ValueError, YAMLError):
            self._wrong(_mark(node), path, f"'{node.value}' cannot be read as a value")
            return None

    def _wrong(self, mark: Mark, path: str, text: str) -> None:
        self.mistakes.append(Mistake(self.source, mark, path, text))


def _mark(node: Any) -> Mark:
    start, end = node.start_mark, node.end_mark
    column = start.column + 1
    last = end.column + 1 if end.line == start.line else column + 1
    return Mark(start.line + 1, column, max(last, column + 1))


def _syntax_mistake(source: Source, error: MarkedYAMLError) -> Mistake:
    at = error.problem_mark or error.context_mark
    problem = (error.problem or "not YAML").strip()
    if at is not None and at.line >= len(source.lines) and error.context_mark is not None:
        at = error.context_mark  # what was opened and never closed, rather than the end of the file
    if at is None:
        return Mistake(source, None, "", problem)
    line = source.lines[at.line] if at.line < len(source.lines) else ""
    if "\\t" in problem or "\t" in line[: at.column + 1]:
        problem = "a tab cannot indent YAML; use spaces"
    elif error.context:
        problem = f"{problem} ({error.context})"
    return Mistake(source, Mark(at.line + 1, at.column + 1, at.column + 2), "", problem)


def _why_unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        return "no such file" + (f"; beside it: {', '.join(beside)}" if beside else "")
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return "is a directory; a spec is a YAML file"
    return error.strerror or str(error)
