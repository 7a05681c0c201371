"""The options of a network as they are written on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from bnnlab.models.config import OPTIONS
from bnnlab.sweep.document import Node, assign, parse_value
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mark, Mistake, Source, SpecError


def read_options(name: str, settings: Sequence[str]) -> dict[str, Any]:
    """The options of a network from texts such as "blocks=[6, 6, 6, 5]". Raises SpecError with every mistake."""
    source = Source("command line", ("",))
    tree = Node({}, source, Mark(1, 1, 2))
    mistakes: list[Mistake] = []
    for setting in settings:
        source = Source("command line", (f"--set {setting}",))
        path, equals, text = setting.partition("=")
        mark = Mark(1, 7, 7 + max(1, len(path)))
        if not equals or not path:
            mistakes.append(Mistake(source, mark, "", "takes option=value, such as downsampling=binary"))
            continue
        try:
            value = parse_value(text, source)
        except SpecError as error:
            mistakes += [Mistake(source, Mark(1, mark.end + 1, mark.end + 2), path, m.text) for m in error.mistakes]
            continue
        place = Mark(1, mark.end + 1, mark.end + 1 + max(1, len(text)))
        tree = assign(tree, path, Node(value.value, source, place, mark))
    if not mistakes:
        options: dict[str, Any] = tree.plain()
        try:
            OPTIONS[name].model_validate_json(json.dumps({**options, "name": name}), strict=True)
        except ValidationError as error:
            mistakes += explain(error, tree, OPTIONS[name])
        else:
            return options
    raise SpecError(mistakes)
