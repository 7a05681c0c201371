"""How many runs go side by side on each device of a machine, and which one takes the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

CPU = ""
"""The name of the place where runs go that use no GPU."""


@dataclass(frozen=True)
class Seat:
    """A place on a device, taken by one run."""

    device: str
    """A GPU, as CUDA_VISIBLE_DEVICES names it; or `CPU`."""
    side_by_side: int
    """How many runs the device was good for when the seat was taken."""


class Seats:
    """`each` runs on every one of `devices`; fewer on one that has run out of memory."""

    def __init__(self, devices: Sequence[str], each: int) -> None:
        self._room = dict.fromkeys(devices, each)
        self._taken: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return sum(self._room.values())

    def take(self) -> Seat:
        """A seat on the device with the most room left; of equals the first."""
        device = max(self._room, key=lambda name: self._room[name] - self._taken[name])
        self._taken[device] += 1
        return Seat(device, self._room[device])

    def leave(self, seat: Seat) -> None:
        self._taken[seat.device] -= 1

    def lower(self, seat: Seat) -> str:
        """Fewer runs on the device of `seat`, whose run found too little memory there. "" where it had no company.

        Several runs that meet the same want at once lower it once: they sat down to the same number of seats.
        """
        if seat.side_by_side <= 1:
            return ""
        self._room[seat.device] = min(self._room[seat.device], seat.side_by_side - 1)
        where = f" on GPU {seat.device}" if seat.device != CPU else ""
        return f"{self._room[seat.device]} side by side{where}"
