"""What every test starts from."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    """Signals as a terminal gives them: under nohup or in the background of a script some are ignored, and a test
    that sends one to a sweep would wait for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def _own_forkserver() -> None:
    """The forkserver outlives a module's tests, and with it what they had it preload."""
    from multiprocessing.forkserver import _forkserver

    _forkserver._stop()  # type: ignore[attr-defined]
