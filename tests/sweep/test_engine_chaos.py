"""A sweep that is killed, stopped and interrupted at random ends like one that was left alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


@pytest.mark.slow
def test_a_harassed_sweep_ends_like_a_quiet_one() -> None:
    words = [sys.executable, str(CHAOS), "--runs", "6", "--blows", "12", "--epochs", "12", "--seed", "3"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    blows = re.search(r"(\d+) blows\b(?! to go)", done.stdout)  # a fast machine is done before the last ones
    assert blows is not None
    assert int(blows.group(1)) >= 4
    assert "6 of 6 runs finished" in done.stdout
    assert "0 differences" in done.stdout
