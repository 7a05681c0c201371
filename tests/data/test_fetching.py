"""Downloads against a server on this machine: progress, going on, checksums, and no network at all."""

from __future__ import annotations

import fcntl
import hashlib
import http.server
import threading

import numpy as np
import pytest

from bnnlab.data import fetching
from bnnlab.data.errors import DataDamaged, DataError
from bnnlab.data.fetching import Download, fetch

CONTENT = np.random.default_rng(0).bytes(700_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; may break off, may not know ranges, may have something else."""

    daemon_threads = True
    content = CONTENT
    break_after = None
    ranges = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        content = self.server.content
        if asked and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        self.wfile.write(body if self.server.break_after is None else body[: self.server.break_after])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/file.gz"
    monkeypatch.setitem(fetching.DOWNLOADS, "cifar10", (Download((url,), "file.gz", MD5),))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_downloaded_with_its_progress(server, tmp_path):
    seen = []
    assert fetch("cifar10", tmp_path, lambda *progress: seen.append(progress)) == tmp_path
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file.gz"]
    assert seen[0] == ("file.gz", 0, 700_000)
    assert seen[-1] == ("file.gz", 700_000, 700_000)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_what_is_whole_is_not_downloaded_again(server, tmp_path):
    fetch("cifar10", tmp_path)
    fetch("cifar10", tmp_path)
    assert server.asked == [None]


def test_a_damaged_file_is_downloaded_again(server, tmp_path):
    (tmp_path / "file.gz").write_bytes(CONTENT[:-1])
    fetch("cifar10", tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path):
    server.break_after = 300_000
    with pytest.raises(DataError) as error:
        fetch("cifar10", tmp_path)
    url = fetching.DOWNLOADS["cifar10"][0].urls[0]
    assert str(error.value) == (
        "file.gz cannot be downloaded (127.0.0.1: the connection ended after 300,000 of 700,000 bytes)."
        " 300,000 bytes are kept: the same command goes on from there. Without a network here, download"
        f" {url} elsewhere and put it at {tmp_path / 'file.gz'}"
    )
    assert not (tmp_path / "file.gz").exists()
    server.break_after = None
    fetch("cifar10", tmp_path)
    assert server.asked == [None, "bytes=300000-"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_server_that_cannot_go_on_sends_all_of_it(server, tmp_path):
    server.ranges = False
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    fetch("cifar10", tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1000, 700_000, 800_000])
def test_a_part_of_another_file_is_thrown_away(server, tmp_path, length):
    (tmp_path / "file.gz.part").write_bytes(bytes(length))
    fetch("cifar10", tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_file_that_is_not_what_its_authors_publish_is_not_kept(server, tmp_path):
    server.content = CONTENT[::-1]
    found = hashlib.md5(CONTENT[::-1], usedforsecurity=False).hexdigest()
    with pytest.raises(DataDamaged) as error:
        fetch("cifar10", tmp_path)
    assert str(error.value) == (
        f"file.gz: what was downloaded has the MD5 checksum {found}, its authors publish {MD5}. It was not"
        " kept; something between here and them changed it"
    )
    assert not (tmp_path / "file.gz").exists()
    assert (tmp_path / "file.gz.part").stat().st_size == 0


def test_the_next_mirror_is_tried(server, tmp_path, monkeypatch):
    (download,) = fetching.DOWNLOADS["cifar10"]
    mirrors = ("http://127.0.0.1:9/file.gz", *download.urls)
    monkeypatch.setitem(fetching.DOWNLOADS, "cifar10", (Download(mirrors, "file.gz", MD5),))
    fetch("cifar10", tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_without_a_network_it_says_what_to_do(server, tmp_path, monkeypatch):
    mirrors = ("http://127.0.0.1:9/file.gz", "http://no-such-host.invalid/file.gz")
    monkeypatch.setitem(fetching.DOWNLOADS, "cifar10", (Download(mirrors, "file.gz", MD5),))
    with pytest.raises(DataError) as error:
        fetch("cifar10", tmp_path)
    text = str(error.value)
    assert text.startswith(
        "file.gz cannot be downloaded (127.0.0.1: [Errno 111] Connection refused; no-such-host"
    )
    assert text.endswith(
        " Without a network here, download http://127.0.0.1:9/file.gz elsewhere"
        f" and put it at {tmp_path / 'file.gz'}"
    )


def test_two_downloads_of_one_file_do_not_mix(server, tmp_path):
    with (tmp_path / "file.gz.part").open("ab") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is downloading this file"):
            fetch("cifar10", tmp_path)


def test_the_default_folder_is_one_where_data_sets_are_looked_for(server, fresh_machine, monkeypatch):
    assert fetch("cifar10") == fresh_machine / ".local" / "share" / "bnnlab" / "cifar10"
    monkeypatch.setenv("BNNLAB_DATA", str(fresh_machine / "sets"))
    assert fetch("cifar10") == fresh_machine / "sets" / "cifar10"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits", "digits need not be fetched: it is in the package scikit-learn"),
        (
            "cifar1O",
            "unknown data set 'cifar1O'; allowed: cifar10, cifar100, fashion_mnist. Did you mean 'cifar10'?",
        ),
        (
            "imagenet",
            (
                "ImageNet (ILSVRC 2012) may only be downloaded by those who accept its terms:\n"
                "  https://huggingface.co/datasets/ILSVRC/imagenet-1k   # accept the terms there first\n"
                "  hf download ILSVRC/imagenet-1k --repo-type dataset --local-dir data/imagenet   # 150 GB\n"
                "  https://image-net.org/download-images   # or unpacked:"
                " data/imagenet/{train,val}/n01440764/"
            ),
        ),
    ],
)
def test_what_cannot_be_fetched(name, message):
    with pytest.raises(DataError) as error:
        fetch(name)
    assert str(error.value) == message


def test_what_is_fetched_is_what_is_read():
    """The names of the downloads are names that the readers look for."""
    from bnnlab.data import cifar, fashion_mnist

    names = {name: [d.name for d in downloads] for name, downloads in fetching.DOWNLOADS.items()}
    read = [f"{file}.gz" for part in fashion_mnist.PARTS.values() for file in part]
    assert names["fashion_mnist"] == read
    for variant in ("cifar10", "cifar100"):
        assert names[variant] == [f"{cifar.VARIANTS[variant].archive}-binary.tar.gz"]
