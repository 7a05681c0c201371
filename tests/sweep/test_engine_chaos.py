"""A sweep that is killed, stopped and interrupted at random ends like one that was left alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


@pytest.mark.slow
def test_a_harassed_sweep_ends_like_a_quiet_one() -> None:
    words = [sys.executable, str(CHAOS), "--runs", "6", "--blows", "12", "--epochs", "12", "--seed", "3"]
    environment = {**os.environ, "PYTHONPATH": str(CHAOS.parents[1])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 of 12 blows" in done.stdout
    dealt = {name: int(count) for count, name in re.findall(r"^ +(\d+) (SIG\w+ at .+)$", done.stdout, re.MULTILINE)}
    workers = {name: count for name, count in dealt.items() if name.endswith("a worker")}
    assert len(dealt) == 7, dealt  # of every kind
    # Each blow at a worker ended an attempt in the middle: the blows were not dealt to what was done already.
    attempts = re.search(r"finished in (\d+) attempts", done.stdout)
    assert attempts is not None
    assert int(attempts.group(1)) >= 6 + sum(workers.values())
    assert "6 of 6 runs finished" in done.stdout
    assert "0 differences" in done.stdout
