"""Which code trained a run: a fingerprint of the modules that decide a result, and the versions beneath them."""

from __future__ import annotations

import hashlib
import platform
import socket
from functools import cache
from importlib.metadata import version
from pathlib import Path

from bnnlab import __version__

ROOMS = ("nn", "models", "data", "experiment")
"""The rooms whose code a result depends on."""
SOURCES = (".py", ".css", ".js")


def code_fingerprint() -> str:
    """Twelve hexadecimal digits over the source of the rooms that decide a result."""
    return source_fingerprint(ROOMS)


@cache
def source_fingerprint(rooms: tuple[str, ...]) -> str:
    """Twelve hexadecimal digits over the source of some rooms."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(p for room in rooms for p in (package / room).rglob("*.*") if p.suffix in SOURCES):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def environment() -> dict[str, str]:
    """Versions and machine, for a run's provenance."""
    return {
        "code": code_fingerprint(),
        "bnnlab": __version__,
        "torch": version("torch"),
        "pytorch_lightning": version("pytorch-lightning"),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
