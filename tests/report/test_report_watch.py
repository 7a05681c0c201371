"""The served page: on the loopback address, new when the ledger has news."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from bnnlab.report.watch import ReportServer


@contextmanager
def serving(make_page, **options):
    server = ReportServer(make_page, **options)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def read(server, path=""):
    with urlopen(server.url + path) as answer:
        return answer.read().decode()


def test_the_page_carries_the_script_that_reloads_it():
    with serving(lambda live: f"<p>now</p>{live}") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert read(server).startswith("<p>now</p><script>")


def test_the_digest_changes_with_the_page():
    pages = iter(["one", "one", "two"])
    with serving(lambda live: next(pages), interval_s=0) as server:
        first, same, other = (read(server, "digest") for _ in range(3))
    assert first == same != other


def test_a_young_page_is_not_made_again():
    made = []
    with serving(lambda live: made.append(1) or "page", interval_s=3600) as server:
        for _ in range(3):
            read(server)
    assert len(made) == 1


@pytest.mark.parametrize(("path", "status"), [("../etc/passwd", 404), ("report.html", 404)])
def test_nothing_else_is_served(path, status):
    with serving(lambda live: "page") as server, pytest.raises(HTTPError) as error:
        read(server, path)
    assert error.value.code == status
    error.value.close()


def test_a_page_that_cannot_be_made_right_now_does_not_end_the_server():
    pages = iter([ValueError("half a line"), "page"])

    def make(live):
        page = next(pages)
        if isinstance(page, Exception):
            raise page
        return page

    with serving(make, interval_s=0) as server:
        with pytest.raises(HTTPError) as error:
            read(server)
        assert error.value.code == 503
        error.value.close()
        assert read(server) == "page"
