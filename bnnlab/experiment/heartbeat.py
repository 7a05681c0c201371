"""Signs of life of the process that trains a run. Free of torch.

The file says two things that mean different trouble when they stop: that the process runs at all (a thread of its
own beats once a second), and that it gets on (a count of batches, and what it is doing). A reader compares what it
reads with what it read before and needs no clock in common with the writer: neither a suspended laptop nor a clock
that jumps looks like a hang.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

BEAT_S = 1.0
WIDTH = 160
"""The line is padded, so that a later one overwrites it in place: that works on a full disk too."""


@dataclass(frozen=True)
class Pulse:
    """What the file said."""

    pid: int
    beats: int
    steps: int
    """Batches so far, of any split, in this process."""
    doing: str

    @property
    def progress(self) -> tuple[int, int, str]:
        """Changes when, and only when, the process gets on."""
        return self.pid, self.steps, self.doing


class Heartbeat:
    """Beats while it is entered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps = 0
        self.doing = "starting"
        self._beats = 0
        self._file = -1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._file)

    def _beat_on(self) -> None:
        while not self._stop.wait(BEAT_S):
            self._beat()

    def _beat(self) -> None:
        self._beats += 1
        line = json.dumps({"pid": os.getpid(), "beats": self._beats, "steps": self.steps, "doing": self.doing[:60]})
        with contextlib.suppress(OSError):  # a beat that cannot be written is a beat that is missed
            os.pwrite(self._file, line.ljust(WIDTH).encode() + b"\n", 0)


def read_pulse(path: Path) -> Pulse | None:
    """The last beat; None where there is none that can be read."""
    try:
        return Pulse(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
