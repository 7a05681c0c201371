"""How a profile changes a search."""

from __future__ import annotations

from dataclasses import replace

from bnnlab.sweep.document import Node, merge

BY_NAME = ("space", "objectives", "constraints")
"""Here a profile replaces an entry as a whole, or takes it away with nothing (`~`)."""
WHOLE = ("enqueue",)
"""These a profile replaces as a whole: the first trials of one data set are not another's."""


def merge_search(own: Node | None, theirs: Node | None) -> Node | None:
    """The `search:` of a spec under a profile that has one of its own. Sampler, pruner and budget merge."""
    if own is None or theirs is None or not (own.is_mapping and theirs.is_mapping):
        return own if theirs is None else theirs
    merged = dict(own.value)
    for key, child in theirs.items():
        under = merged.get(key)
        if key in BY_NAME and under is not None and under.is_mapping and child.is_mapping:
            entries = {**under.value, **child.value}
            child = replace(child, value={name: entry for name, entry in entries.items() if entry.value is not None})
        elif key not in WHOLE:
            child = merge(under, child)
        merged[key] = child
    return replace(own, value=merged)
