"""Files that a reader never finds half written. Free of torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any, *, durable: bool = False, indent: int | None = 2) -> None:
    """Write in one step: a reader finds the old file or the new one."""
    replace_file(path, (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode(), durable=durable)


def read_json(path: Path) -> Any:
    """The value, or None where there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def replace_file(path: Path, content: bytes | memoryview, *, durable: bool = False) -> None:
    """Put `content` at `path` in one step; `durable` also survives the loss of power.

    Leaves nothing behind where it fails, so that a full disk has room for the word that it is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def append_line(path: Path, line: str) -> None:
    """Append one line, also where a process was killed in the middle of the line before."""
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode() + b"\n")
