"""The GPUs of this machine, found without torch and without a CUDA context in the process that asks.

A coordinator that touches CUDA could fork no worker that uses it, and would hold memory of a GPU that its runs need.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROC = Path("/proc/driver/nvidia/gpus")
DEVICES = Path("/dev")
PATIENCE_S = 20.0
"""A driver that is not loaded yet answers its first question late."""
_CARD = re.compile(r"^GPU \d+: .*\(UUID: (GPU-[0-9a-fA-F-]+)\)")
_SLICE = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)")


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the GPUs that CUDA would show this process, in its order; each is a value for CUDA_VISIBLE_DEVICES.

    What CUDA_VISIBLE_DEVICES says, where it is set: numbers, UUIDs of GPUs or of their slices; as in CUDA the first
    entry that names no device ends the list. Otherwise the UUIDs that the driver knows.
    """
    told = environment.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return _named(told)
    return _asked() or _read()


def _named(told: str) -> tuple[str, ...]:
    names: list[str] = []
    for word in told.split(","):
        name = word.strip()
        if not re.fullmatch(r"\d+|(GPU|MIG)-[0-9A-Za-z/-]+", name) or name in names:
            break
        names.append(name)
    return tuple(names)


def _asked() -> tuple[str, ...]:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return listed(done.stdout) if done.returncode == 0 else ()


def listed(text: str) -> tuple[str, ...]:
    """The UUIDs that `nvidia-smi -L` lists. A GPU that is cut into slices takes no work itself; its slices do."""
    cards: list[list[str]] = []
    for line in text.splitlines():
        if found := _CARD.match(line):
            cards.append([found[1]])
        elif cards and (found := _SLICE.match(line)):
            cards[-1].append(found[1])
    return tuple(name for card, *slices in cards for name in (slices or [card]))


def _read() -> tuple[str, ...]:
    """What the driver's own files say, where nvidia-smi is not installed."""
    found: list[tuple[int, str]] = []
    for file in sorted(PROC.glob("*/information")):
        try:
            facts = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
            minor, uuid = int(facts["Device Minor"]), facts["GPU UUID"].strip()
        except (OSError, KeyError, ValueError):
            continue
        if (DEVICES / f"nvidia{minor}").exists():  # a container sees the files of GPUs that it was not given
            found.append((minor, uuid))
    return tuple(uuid for _, uuid in sorted(found))


def torch_has_cuda() -> bool:
    """Whether the installed torch was built with CUDA; reads one line of it, and imports nothing."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        text = Path(spec.origin).with_name("version.py").read_text()
    except OSError:
        return True  # an unusual build: let the driver's word count
    return not re.search(r"^cuda\b.*= None\s*$", text, re.MULTILINE)
