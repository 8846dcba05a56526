"""Files come from the cache, a local folder or an address, and never in a wrong or incomplete form."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import h5py
import pytest

from benchmark.data import download
from benchmark.data.cards import DatasetCard
from benchmark.data.gene_cards import PriorCard
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder
from benchmark.machine.progress import report_to

BODY = b"cells " * 40_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """A file server of this test: what it answers can be changed, and what it was asked is counted."""

    def __init__(self) -> None:
        self.body, self.status, self.promised, self.requests = BODY, 200, None, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file"

    @contextmanager
    def running(self) -> Iterator[Server]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                length = len(outer.body) if outer.promised is None else outer.promised
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *details: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            self.port = http.server_port
            thread = Thread(target=http.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                http.shutdown()
                thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHMARK_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def a_card(server: Server | None = None, **fields: Any) -> DatasetCard:
    address = {"url": server.url} if server else {}
    return DatasetCard(**{"name": "cells", "local_file": "cells.h5ad", **address, **fields})


def cached() -> list[str]:
    folder = cache_folder("downloads")
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def an_h5(tmp_path: Path, value: int = 0) -> bytes:
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as file:
        file["x"] = value
    return path.read_bytes()


def test_a_file_is_downloaded_once(server: Server) -> None:
    """The second look finds it in the cache, even when the server has gone."""
    card = a_card(server, sha256=sha256(BODY))
    assert download.find(card).read_bytes() == BODY
    assert download.find(card).read_bytes() == BODY
    assert server.requests == 1
    assert cached() == ["cells.h5ad"]


def test_the_download_reports_every_byte_as_progress(server: Server) -> None:
    """The stage is as long as the file and ends when the file does."""
    seen: list[tuple[str, int, int]] = []

    class Listener:
        @contextmanager
        def stage(self, name: str, total: int) -> Iterator[Any]:
            self.steps = 0
            yield self
            seen.append((name, total, self.steps))

        def advance(self, steps: int = 1, **values: float) -> None:
            self.steps += steps

    with report_to(Listener()):
        download.find(a_card(server, sha256=sha256(BODY)))
    assert seen == [("download cells", len(BODY), len(BODY))]


def test_a_local_folder_goes_before_the_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BENCHMARK_DATA may name several folders; the first that has the file is used, in place."""
    folders = [tmp_path / "empty", tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    for folder in folders[1:]:
        (folder / "cells.h5ad").write_bytes(BODY)
    monkeypatch.setenv("BENCHMARK_DATA", ":".join(map(str, folders)))
    assert download.find(a_card(server, sha256=sha256(BODY))) == tmp_path / "one" / "cells.h5ad"
    assert server.requests == 0
    assert cached() == []


def test_a_wrong_checksum_sets_the_file_aside_and_names_both(server: Server) -> None:
    """The bad file keeps its content under a name that nothing reads; a good server then heals it."""
    server.body = b"something else"
    card = a_card(server, sha256=sha256(BODY))
    found = sha256(b"something else")
    with pytest.raises(BenchmarkError) as caught:
        download.find(card)
    assert found in str(caught.value)
    assert sha256(BODY) in str(caught.value)
    assert cached() == [f"cells.h5ad.bad-{found[:8]}"]
    server.body = BODY
    assert download.find(card).read_bytes() == BODY


def test_a_wrong_local_file_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local file is checked like a downloaded one."""
    (tmp_path / "cells.h5ad").write_bytes(b"other")
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))
    with pytest.raises(BenchmarkError, match=r"it was set aside as cells\.h5ad\.bad-"):
        download.find(a_card(sha256=sha256(BODY)))
    with pytest.raises(BenchmarkError, match=r"no public address; put cells\.h5ad into a folder"):
        download.find(a_card(sha256=sha256(BODY)))


def test_a_wrong_file_that_cannot_be_renamed_is_not_used_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for reading only changes the sentence, not the refusal."""
    (tmp_path / "cells.h5ad").write_bytes(b"other")
    monkeypatch.setenv("BENCHMARK_DATA", str(tmp_path))

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(BenchmarkError, match="it was not used"):
        download.find(a_card(sha256=sha256(BODY)))


def test_without_a_published_checksum_the_first_copy_pins_its_own(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The user is told once; another content under the same name is refused from then on."""
    server.body = an_h5(tmp_path)
    card = a_card(server)
    with caplog.at_level(logging.WARNING, "benchmark"):
        path = download.find(card)
        download.find(card)
    assert [record.message.count(sha256(server.body)) for record in caplog.records] == [1]
    lock = json.loads(cache_folder("checksums.lock.json").read_text())
    assert lock == {"cells": sha256(server.body)} == {"cells": download.known_checksum(card)}
    path.unlink()
    server.body = an_h5(tmp_path, value=1)
    with pytest.raises(BenchmarkError, match=f"but {lock['cells']} was expected"):
        download.find(card)


def test_a_damaged_lock_file_is_named() -> None:
    """Pins are not dropped in silence."""
    cache_folder("checksums.lock.json").parent.mkdir(parents=True)
    cache_folder("checksums.lock.json").write_text("{")
    with pytest.raises(BenchmarkError, match=r"checksums\.lock\.json is damaged .* delete it"):
        download.known_checksum(a_card())


@pytest.mark.parametrize("member", [None, "inside.h5ad"])
def test_an_error_page_is_never_pinned(server: Server, member: str | None) -> None:
    """What answers 200 with a web page leaves no file and no checksum."""
    server.body = b"<html>log in</html>"
    card = a_card(server, member=member)
    with pytest.raises(BenchmarkError, match="sent no whole file for dataset 'cells'"):
        download.find(card)
    assert cached() == []
    assert download.known_checksum(card) is None


@pytest.mark.parametrize(
    "body", [b"<html>log in</html>", gzip.compress(BODY)[:-9]], ids=["a page", "cut short"]
)
def test_a_compressed_file_that_is_not_whole_is_never_pinned(server, body):
    server.body = body
    prior = PriorCard(name="terms", url=server.url, local_file="terms.gaf.gz")
    with pytest.raises(BenchmarkError, match="sent no whole file for prior 'terms'"):
        download.find(prior)
    server.body = gzip.compress(BODY)
    assert gzip.decompress(download.find(prior).read_bytes()) == BODY


def test_a_truncated_download_leaves_nothing(server: Server) -> None:
    """The server closes the connection before it has sent what it promised."""
    server.promised = len(BODY) + 10
    with pytest.raises(BenchmarkError, match=r"could not be downloaded from http://127\.0\.0\.1"):
        download.find(a_card(server, sha256=sha256(BODY)))
    assert cached() == []


def test_an_interrupted_download_leaves_nothing(server: Server) -> None:
    """Ctrl-C goes through, and what was received is removed."""

    class Interrupting:
        @contextmanager
        def stage(self, name: str, total: int) -> Iterator[Any]:
            yield self

        def advance(self, steps: int = 1, **values: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), report_to(Interrupting()):
        download.find(a_card(server, sha256=sha256(BODY)))
    assert cached() == []


def test_an_http_error_names_the_address_and_the_way_around(server: Server) -> None:
    """One sentence: what failed, why, where to put the file by hand."""
    server.status = 404
    with pytest.raises(BenchmarkError) as caught:
        download.find(a_card(server))
    assert server.url in str(caught.value)
    assert "HTTP status 404" in str(caught.value)
    assert "put cells.h5ad into a folder and name that folder in BENCHMARK_DATA" in str(caught.value)


def test_no_server_names_the_address() -> None:
    """A machine without a network gets the same sentence."""
    with Server().running() as gone:
        card = a_card(gone)
    with pytest.raises(BenchmarkError, match=rf"{gone.url} \(ConnectionError\)"):
        download.find(card)


def test_a_zip_member_is_unpacked_for_as_long_as_it_is_needed(server: Server) -> None:
    """Only the archive stays in the cache."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/cells.h5ad", BODY)
    server.body = packed.getvalue()
    card = a_card(server, local_file="cells.zip", member="folder/cells.h5ad")
    with download.opened(card, download.find(card)) as path:
        assert path.read_bytes() == BODY
    assert cached() == ["cells.zip"]


@pytest.mark.parametrize("content", ["other member", "no archive"])
def test_an_archive_without_the_member_is_one_sentence(tmp_path: Path, content: str) -> None:
    """A missing member and a damaged archive both say which file to get again."""
    path = tmp_path / "cells.zip"
    path.write_bytes(b"PK no")
    if content == "other member":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "")
    card = a_card(local_file="cells.zip", member="folder/cells.h5ad")
    with pytest.raises(BenchmarkError, match=r"cells\.zip cannot be unpacked"), download.opened(card, path):
        pass
    assert cached() == []
