"""Which process holds a run, and whether it still has anyone to work for. Free of torch.

A worker ends by itself as soon as its coordinator does, unless it is stopped (SIGSTOP, a debugger, a stuck device):
then it holds the run's lock for ever, and only a signal from outside frees the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"


@dataclass(frozen=True)
class Holder:
    """A process on one host since one boot; its start time tells it from a later one with the same number."""

    pid: int
    parent: int
    started: int
    """In clock ticks since boot."""
    host: str
    boot: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> Holder | None:
        try:
            return cls(**found)
        except TypeError:
            return None

    @property
    def is_here(self) -> bool:
        """Whether it runs on this host and has not ended."""
        if self.host != socket.gethostname() or self.boot != _boot():
            return False
        stat = _stat(self.pid)
        return stat is not None and stat[1] == self.started

    @property
    def is_orphan(self) -> bool:
        """Whether the process that started it has ended. False where that cannot be known."""
        stat = _stat(self.pid)
        return self.is_here and stat is not None and stat[0] != self.parent

    def kill(self) -> None:
        """End it; harmless where it has ended or is no longer the same process."""
        if self.is_here:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


def this_process() -> Holder:
    """Who asks. Where there is no /proc, the start time is unknown (-1) and nobody is ever called an orphan."""
    stat = _stat(os.getpid())
    return Holder(os.getpid(), os.getppid(), stat[1] if stat else -1, socket.gethostname(), _boot())


def _stat(pid: int) -> tuple[int, int] | None:
    """Parent and start time of a process that has not ended."""
    try:
        # The name in parentheses may hold spaces and parentheses of its own.
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else (int(fields[1]), int(fields[19]))


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
