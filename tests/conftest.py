"""What every test starts from."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Signals as a terminal gives them: under nohup or in the background of a script some are ignored, and a test
    that sends one to a sweep would wait for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
