"""The `claims:` of a spec: parsed, held against the study's axes, every mistake at its place in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bnnlab.paper.claims import Claim, check_claims
from bnnlab.paper.metrics import METRICS
from bnnlab.sweep.document import Node
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mistake

_CLAIM: TypeAdapter[Claim] = TypeAdapter(Claim)


def read_claims(node: Node | None, axes: Mapping[str, Sequence[str]]) -> tuple[tuple[Claim, ...], list[Mistake]]:
    """The claims that could be read, and all that is wrong with any of them."""
    if node is None or node.value is None:
        return (), []
    if not node.is_list:
        return (), [node.mistake("claims", f"must be a list of claims, not {node.kind}")]
    claims: dict[int, Claim] = {}
    mistakes: list[Mistake] = []
    for index, child in enumerate(node.value):
        path = f"claims[{index}]"
        if not child.is_mapping:
            mistakes.append(child.mistake(path, f"a claim is a mapping, not {child.kind}"))
            continue
        try:
            claims[index] = _CLAIM.validate_json(json.dumps(child.plain()), strict=True)
        except ValidationError as error:
            mistakes += explain(error, child, Claim, path)
    positions = list(claims)
    for found in check_claims(tuple(claims.values()), axes, METRICS):
        index = positions[int(found.path[1])]
        at = _deepest(node.value[index], found.path[2:])
        path = _path(index, found.path[2:])
        mistakes.append(at.mistake(path, found.message, allowed=found.allowed, nearest=found.nearest))
    return tuple(claims.values()), mistakes


def _deepest(node: Node, steps: Sequence[Any]) -> Node:
    for step in steps:
        if isinstance(step, str) and node.is_mapping and step in node.value:
            key_mark = node.value[step].key_mark
            node = replace(node.value[step], key_mark=key_mark)
        elif isinstance(step, int) and node.is_list and step < len(node.value):
            node = node.value[step]
        else:
            break
    return node


def _path(index: int, steps: Sequence[Any]) -> str:
    return f"claims[{index}]" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)
