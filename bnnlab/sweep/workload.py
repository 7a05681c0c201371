"""What decides how long an epoch of a run takes and how large its files are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def workload_of(config: Mapping[str, Any]) -> str:
    """Names the work of an epoch of a run, given its configuration as plain data.

    Runs that differ in seed, learning rate, schedule or number of epochs share it. Raises KeyError, TypeError or
    AttributeError where `config` is no configuration.
    """
    training = config["training"]
    parts = [
        config["model"],
        config["data"],
        config["evaluation"],
        training["batch_size"],
        training["precision"],
        training["optimizer"]["name"],
        training.get("channels_last", False),
        training.get("compile", False),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
