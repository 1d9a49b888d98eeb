"""A known corpus comes whole, from a mirror or the hub, through faults of the network, or with word of a way out."""

import errno
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.data import download, sources
from groundup.data.sources import find_files, mirror_of, plan, read_chunk
from groundup.errors import GroundupError
from groundup.recipe.schema import Source

CONTENTS = {"data/train 1.txt": "one<end>two<end>held" * 5000, "valid.txt": "held<end>out", "test.txt": "new"}
SPLITS = dict(zip(("train", "valid", "test"), CONTENTS, strict=True))
SMALL = Source(corpus="small")
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror of a small corpus that stands in sources.yaml with its true sizes and hashes."""
    top = tmp_path / "mirror"
    entry: dict[str, Any] = {"repository": "someone/Small", "revision": REVISION, "files": {}}
    for split, name in SPLITS.items():
        path = top / "someone" / "Small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONTENTS[name])
        digest = hashlib.sha256(CONTENTS[name].encode()).hexdigest()
        entry["files"][split] = [{"name": name, "bytes": len(CONTENTS[name]), "sha256": digest}]
    monkeypatch.setattr(sources, "corpora", lambda: {"small": entry})
    monkeypatch.setattr(download, "WAITS", (0.01, 0.01))
    return top


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, with faults: what is to happen to the coming requests for a name; None: nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.ranges = True
        self.faults: dict[str, list[int | str | None]] = {}
        self.asked: list[tuple[str, str | None]] = []  # name, range

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        # the hub's addresses are those of a mirror with a little more
        place = urllib.parse.unquote(self.path).replace("/datasets/", "/").replace(f"/resolve/{REVISION}", "")
        path = self.server.folder / place.lstrip("/")
        asked = self.headers.get("Range")
        if self.command == "GET":
            self.server.asked.append((path.name, asked))
        faults = self.server.faults.get(path.name, [])
        fault = faults.pop(0) if faults and self.command == "GET" else None
        if isinstance(fault, int) or not path.is_file():
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        raw = path.read_bytes()
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(raw) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
        self.send_header("Content-Length", str(len(raw) - start))
        self.send_header("ETag", f'"{hashlib.sha256(raw).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(raw[start : start + (len(raw) - start) // 2] if fault == "cut" else raw[start:])

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(mirror: Path) -> Iterator[Server]:
    server = Server(mirror)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def contents(lab: Path, mirror: str | None) -> dict[str, str]:
    """The texts of the corpus by the names of their files, verified on the way."""
    found = find_files(SMALL, mirror, lab)
    assert [file.split for file in found] == ["valid", "test", None]
    return {file.path.name: file.path.read_text() for file in found}


WHOLE = {Path(name).name: text for name, text in CONTENTS.items()}


def refused(lab: Path, mirror: str | None, code: str = "download-failed") -> GroundupError:
    with pytest.raises(GroundupError) as refusal:
        find_files(SMALL, mirror, lab)
    assert refusal.value.code == code
    return refusal.value


def refuse_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


# -- mirrors -----------------------------------------------------------------------------------------------------------


def test_a_mirror_directory_and_a_mirror_url_give_the_same_corpus(tmp_path: Path, mirror: Path, server: Server) -> None:
    assert contents(tmp_path / "lab", str(mirror)) == contents(tmp_path / "lab", server.url + "/") == WHOLE
    assert all(file.sha256 == file.record()["sha256"] for file in find_files(SMALL, str(mirror), tmp_path))


def test_the_mirror_may_come_from_the_environment_and_the_recipe_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_MIRROR", "here")
    assert mirror_of(None) == "here" and mirror_of("there") == "there"
    monkeypatch.setenv("GROUNDUP_MIRROR", "")
    assert mirror_of(None) is None


def test_a_download_happens_once_and_is_then_used_without_a_network(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents(tmp_path / "lab", server.url)
    refuse_network(monkeypatch)
    assert contents(tmp_path / "lab", server.url) == contents(tmp_path / "lab", None) == WHOLE
    assert not list((tmp_path / "lab").rglob("*.part"))


def test_no_network_is_touched_for_mirror_directories_files_and_the_built_in_corpus(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_network(monkeypatch)
    assert contents(tmp_path / "lab", str(mirror)) == WHOLE
    for source in (Source(path=str(mirror)), Source(corpus="world-stories", documents=2)):
        chunks = plan(source, find_files(source, None, tmp_path / "lab"))
        assert sum(1 for chunk in chunks for _ in read_chunk(chunk, source, "fail")) >= 2


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_mirror_that_lacks_files_hears_of_all_of_them_and_of_both_ways_out(
    tmp_path: Path, mirror: Path, server: Server, kind: str
) -> None:
    for name in ("data/train 1.txt", "test.txt"):
        (mirror / "someone" / "Small" / name).unlink()
    refusal = refused(tmp_path / "lab", str(mirror) if kind == "folder" else server.url)
    assert "someone/Small/data/train 1.txt (100,000 bytes)" in refusal.what
    assert "someone/Small/test.txt (3 bytes)" in refusal.what
    assert ("valid.txt" in refusal.what) == (kind == "url")  # where nothing came after the first that lacked
    assert "MIRROR/someone/Small/FILE" in refusal.fix and "$GROUNDUP_MIRROR" in refusal.fix
    assert "data.sources.NAME.path=" in refusal.fix


@pytest.mark.parametrize("change", ["cut", "changed", "longer", "empty"])
@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_file_that_is_not_the_one_on_record_is_never_used(
    tmp_path: Path, mirror: Path, server: Server, kind: str, change: str
) -> None:
    path = mirror / "someone" / "Small" / "valid.txt"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-1], "changed": b"H" + raw[1:], "longer": raw + b"!" * 3, "empty": b""}[change])
    place = str(mirror) if kind == "folder" else server.url
    for _ in range(2):  # nor the second time
        assert "valid.txt" in refused(tmp_path / "lab", place, "wrong-hash").what
    path.write_bytes(raw)  # and once the mirror is mended, the same command works
    assert contents(tmp_path / "lab", place) == WHOLE


def test_a_download_that_is_damaged_later_is_noticed(tmp_path: Path, server: Server) -> None:
    contents(tmp_path / "lab", server.url)
    (path,) = (tmp_path / "lab").rglob("valid.txt")
    path.write_bytes(b"H" + path.read_bytes()[1:])
    refused(tmp_path / "lab", server.url, "wrong-hash")


# -- faults of the network ---------------------------------------------------------------------------------------------

TRAIN = "train 1.txt"


def ranges(server: Server, name: str = TRAIN) -> list[str | None]:
    return [asked for other, asked in server.asked if other == name]


def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path, server: Server) -> None:
    server.faults[TRAIN] = ["cut", "cut", "cut", "cut"]  # more often than one fault may come in a row: it moves
    assert contents(tmp_path / "lab", server.url) == WHOLE
    assert ranges(server) == [None, "bytes=50000-", "bytes=75000-", "bytes=87500-", "bytes=93750-"]


def test_a_download_that_was_given_up_is_taken_up_by_the_next_run(tmp_path: Path, server: Server) -> None:
    server.faults[TRAIN] = ["cut", 500, 500, 500]
    assert TRAIN in refused(tmp_path / "lab", server.url).what
    assert contents(tmp_path / "lab", server.url) == WHOLE
    assert ranges(server) == [None, *["bytes=50000-"] * 4]


def test_a_server_that_cannot_give_a_part_gives_the_whole_again(tmp_path: Path, server: Server) -> None:
    server.faults[TRAIN] = ["cut"]
    server.ranges = False
    assert contents(tmp_path / "lab", server.url) == WHOLE


def test_the_rest_of_another_file_is_not_put_together_with_this_one(tmp_path: Path, server: Server) -> None:
    for size in (4, 50_000, 200_000):
        part = tmp_path / "lab" / "someone" / "Small" / REVISION / "data" / f"{TRAIN}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"?" * size)
        if size < 100_000:
            refused(tmp_path / "lab", server.url, "wrong-hash")
        assert contents(tmp_path / "lab", server.url) == WHOLE
        part.with_name(TRAIN).unlink()


def test_a_part_longer_than_the_file_of_the_server_is_thrown_away(tmp_path: Path, mirror: Path, server: Server) -> None:
    (mirror / "someone" / "Small" / "data" / TRAIN).write_text("short")
    part = tmp_path / "lab" / "someone" / "Small" / REVISION / "data" / f"{TRAIN}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 10)
    refused(tmp_path / "lab", server.url, "wrong-hash")
    assert ranges(server) == ["bytes=10-", None]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_fault_that_may_pass_is_waited_out(tmp_path: Path, server: Server, status: int) -> None:
    server.faults["valid.txt"] = [status, status]
    assert contents(tmp_path / "lab", server.url) == WHOLE


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_fault_that_will_not_pass_is_told_at_once(tmp_path: Path, server: Server, status: int) -> None:
    server.faults["valid.txt"] = [status]
    assert str(status) in refused(tmp_path / "lab", server.url).what
    assert len(ranges(server, "valid.txt")) == 1


def test_a_fault_that_does_not_pass_is_told_in_the_end(tmp_path: Path, server: Server) -> None:
    server.faults["valid.txt"] = [500] * 9
    assert "500" in refused(tmp_path / "lab", server.url).what
    assert len(ranges(server, "valid.txt")) == 3  # as often as there are waits, and once


def test_a_full_disk_is_no_fault_of_the_network(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_append", full)
    with pytest.raises(OSError) as error:
        find_files(SMALL, server.url, tmp_path / "lab")
    assert error.value.errno == errno.ENOSPC


# -- no network --------------------------------------------------------------------------------------------------------


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_mirror_that_does_not_answer_is_refused_at_once_with_all_that_is_missing(
    tmp_path: Path, mirror: Path
) -> None:
    before = time.monotonic()
    refusal = refused(tmp_path / "lab", nobody())
    assert time.monotonic() - before < 2 and all(name in refusal.what for name in CONTENTS)


def test_a_hub_that_does_not_answer_is_refused_at_once(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nobody())
    refusal = refused(tmp_path / "lab", None)
    assert "cannot be reached" in refusal.what and all(name in refusal.what for name in CONTENTS)


def test_a_name_that_nobody_looks_up_is_not_waited_for(
    tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> None:
        time.sleep(3)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", slow)
    monkeypatch.setattr(download, "REACH", 0.1)
    before = time.monotonic()
    assert "no answer within" in refused(tmp_path / "lab", "https://mirror.invalid").what
    assert time.monotonic() - before < 2


def test_behind_a_proxy_it_is_the_proxy_that_has_to_answer(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    download._reach("http://mirror.invalid")
    monkeypatch.setenv("http_proxy", nobody())
    with pytest.raises(ConnectionError):
        download._reach("http://mirror.invalid")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    download._reach(server.url)


def test_a_hub_that_is_switched_off_is_not_asked(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_network(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "valid.txt" in refused(tmp_path / "lab", None).what


HUB = """
import sys, yaml
from pathlib import Path
from groundup.data.download import Corpus, fetch
files = yaml.safe_load(sys.stdin.read())
found = fetch(Corpus("someone/Small", sys.argv[1], files, Path(sys.argv[2])), None)
print([str(path) for paths in found.values() for path in paths])
"""


def test_the_hub_is_read_with_its_own_client_and_verified(tmp_path: Path, server: Server) -> None:
    files = sources.corpora()["small"]["files"]
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", HUB, REVISION, str(tmp_path / "lab")],
        input=str(files), env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "lab" / "someone" / "Small" / REVISION
    assert {name: (folder / name).read_text() for name in CONTENTS} == CONTENTS
    assert "someone/Small/valid.txt, 12 bytes, from the hub" in done.stderr
