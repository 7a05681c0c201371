"""The JSON Schema of spec files, for editors: derived from the types that read them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from bnnlab.experiment.config import RunConfig
from bnnlab.paper.claims import Claim
from bnnlab.sweep.search.samplers import PrunerConfig, SamplerConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def spec_schema() -> dict[str, Any]:
    """A schema that accepts each valid spec; the base and its profiles may be partial, as levels complete them."""
    definitions = _partial(RunConfig.model_json_schema()["$defs"])
    claim = TypeAdapter(Claim).json_schema()
    definitions |= claim.pop("$defs", {})
    run = definitions["RunConfig"]["properties"]
    definitions["RunConfig"]["properties"] = {**run, "seed": {**run["seed"], "description": "Default: the run's own."}}
    sections = {name: run[name] for name in ("model", "data", "training", "evaluation")}
    value = {"type": ["string", "number", "boolean", "null", "array", "object"]}
    levels = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}}
    axis = {"anyOf": [{"type": "array", "minItems": 1, "items": value}, levels]}
    block = {"type": "object", "minProperties": 1, "additionalProperties": axis}
    point = {"type": "object", "minProperties": 1}
    parts: dict[str, Any] = {
        "base": {"type": "object", "additionalProperties": False, "properties": sections},
        "axes": {"anyOf": [block, {"type": "array", "minItems": 1, "items": block}]},
        "search": _search(definitions),
        "seeds": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "integer", "minimum": 0}},
        "exclude": {"type": "array", "items": point},
        "claims": {"type": "array", "items": claim},
        "compare_with": {"type": "string"},
        "dashboard": {"type": "string"},
        "notes": {"type": "string"},
    }
    profile = {"type": ["object", "null"], "additionalProperties": False, "properties": parts}
    return {
        "$schema": DIALECT,
        "title": "bnnlab study",
        "type": "object",
        "required": ["base"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$"},
            "question": {"type": "string"},
            **parts,
            "profiles": {"type": "object", "additionalProperties": profile},
        },
        "$defs": definitions,
    }


def _partial(value: Any) -> Any:
    """A schema without what it requires: an axis or a profile may supply that. A union then has to accept a part
    that would fit several of its members."""
    if isinstance(value, list):
        return [_partial(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: child for key, child in value.items() if key not in ("required", "discriminator")}
    return {"anyOf" if key == "oneOf" else key: _partial(child) for key, child in kept.items()}


def _search(definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of `search:`; what its parts refer to is added to `definitions`."""
    chosen = {}
    unions: dict[str, Any] = {"sampler": SamplerConfig, "pruner": PrunerConfig}
    for key, annotation in unions.items():
        found = TypeAdapter[Any](annotation).json_schema()
        definitions.update(_partial(found["$defs"]))
        chosen[key] = {"anyOf": found["oneOf"]}  # a profile may leave out the name, and then more than one fits
    number = {"type": "number"}
    bound = {"type": "object", "additionalProperties": False, "properties": {"at_most": number, "at_least": number}}
    budget = {"trials": {"type": "integer", "minimum": 1}, "time": {"type": "string"}}
    parts = {
        "space": {"type": "object", "additionalProperties": {"type": ["array", "object", "null"]}},
        "objectives": {"type": "object", "additionalProperties": {"enum": ["maximize", "minimize", None]}},
        "constraints": {"type": "object", "additionalProperties": {"anyOf": [bound, {"type": "null"}]}},
        "budget": {"type": "object", "additionalProperties": False, "properties": budget},
        "enqueue": {"type": "object", "additionalProperties": {"type": "object", "minProperties": 1}},
        **chosen,
    }
    return {"type": "object", "additionalProperties": False, "properties": parts}
