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
class Process:
    """A process on one host since one boot; its start time tells it from a later one with the same number."""

    pid: int
    started: int
    """In clock ticks since boot; -1 where there is no /proc."""
    host: str
    boot: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> Process | None:
        """None where `found` describes no process."""
        try:
            return cls(**found)
        except TypeError:
            return None

    @property
    def can_be_seen(self) -> bool:
        """Whether it ran on this host since its last start, so that its end could be known."""
        return self.started >= 0 and (self.host, self.boot) == (socket.gethostname(), _boot())

    @property
    def has_ended(self) -> bool:
        """False also where that cannot be known."""
        return self.can_be_seen and _start_time(self.pid) != self.started

    def kill(self) -> None:
        """End it; harmless where it has ended or was never here."""
        if self.can_be_seen and not self.has_ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Holder:
    """Who trains a run, and for whom."""

    process: Process
    coordinator: Process | None
    """None where the two share no host."""

    @property
    def is_orphan(self) -> bool:
        """Whether it lives and its coordinator does not. False where that cannot be known."""
        return self.coordinator is not None and self.coordinator.has_ended and not self.process.has_ended


def this_process() -> Process:
    """Who asks."""
    return Process(os.getpid(), _start_time(os.getpid()), socket.gethostname(), _boot())


def _start_time(pid: int) -> int:
    """-1 for a process that has ended."""
    try:
        # The name in parentheses may hold spaces and parentheses of its own.
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] == b"Z" else int(fields[19])


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
