"""The files of a known corpus: from a mirror directory, a mirror URL or the hub, each whole or not at all."""

import errno
import http.client
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from groundup.console import progress, say
from groundup.errors import GroundupError
from groundup.store.files import sha256

WAITS = (0.5, 1.0, 2.0)  # seconds before a download is tried again after a fault that may pass
PASSING = (408, 429, 500, 502, 503, 504)  # HTTP answers that may be others in a moment
REACH = 4.0  # seconds within which the other side must be there at all
SILENCE = 30.0  # seconds without a byte after which a connection counts as lost
BLOCK = 1 << 20
Record = dict[str, Any]  # name, bytes and sha256 of a file


@dataclass(frozen=True)
class Corpus:
    """Where a corpus lies in the hub, and the folder that it is downloaded to."""

    repository: str
    revision: str
    files: dict[str, list[Record]]  # by split
    downloads: Path

    def records(self) -> Iterator[Record]:
        return (file for group in self.files.values() for file in group)

    def folder(self) -> Path:
        return self.downloads / self.repository / self.revision


def fetch(corpus: Corpus, mirror: str | None) -> dict[str, list[Path]]:
    """The local paths of a corpus's files, by split; what is not here yet is downloaded, and all is verified.

    A mirror, a directory or a URL, is laid out as REPOSITORY/FILE.
    Raises GroundupError `download-failed`, which names every file that is missing, and `wrong-hash`.
    """
    is_url = mirror is not None and mirror.startswith(("http://", "https://"))
    if mirror and not is_url:
        folder = Path(mirror).expanduser() / corpus.repository
        if not all((folder / file["name"]).is_file() for file in corpus.records()):
            raise _failed(corpus, folder, f"the mirror {mirror} does not hold the whole corpus")
        for file in corpus.records():
            _verify(folder / file["name"], file)
    else:
        folder = corpus.folder()
        for file in sorted(corpus.records(), key=lambda file: file["bytes"]):  # what fails, fails early
            _download(corpus, file, folder / file["name"], mirror)
    return {split: [folder / file["name"] for file in group] for split, group in corpus.files.items()}


def _failed(corpus: Corpus, folder: Path, why: str) -> GroundupError:
    missing = [file for file in corpus.records() if not (folder / file["name"]).is_file()]
    names = ", ".join(f"{corpus.repository}/{file['name']} ({file['bytes']:,} bytes)" for file in missing)
    fix = (
        f"fetch what is missing elsewhere, lay it out as MIRROR/{corpus.repository}/FILE and set data.mirror (or "
        "$GROUNDUP_MIRROR) to MIRROR; or use files of your own: data.sources.NAME.path=FILE_OR_FOLDER"
    )
    return GroundupError("download-failed", f"{why}; missing: {names}", fix)


def _download(corpus: Corpus, file: Record, path: Path, mirror: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if not path.is_file():
            place = f"{corpus.repository}/{file['name']}"
            say(f"download: {place}, {file['bytes']:,} bytes, from {mirror or 'the hub'}")
            try:
                if mirror:
                    _from_url(f"{mirror.rstrip('/')}/{urllib.parse.quote(place)}", path, file["bytes"])
                else:
                    _from_hub(corpus, file["name"])
            except OSError as error:  # urllib's and huggingface_hub's errors are OSErrors, and so is a full disk
                if error.errno == errno.ENOSPC:
                    raise
                raise _failed(corpus, corpus.folder(), f"{place}: {' '.join(str(error).split())}") from None
            except Exception as error:  # both pass on whatever their HTTP clients raise
                why = f"{place}: {type(error).__name__}: {' '.join(str(error).split())}"
                raise _failed(corpus, corpus.folder(), why) from None
        try:
            _verify(path, file)
        except GroundupError:
            path.replace(path.with_name(path.name + ".wrong"))  # kept for a look, never used
            raise


def _verify(path: Path, file: Record) -> None:
    size = path.stat().st_size
    if size != file["bytes"]:
        what = f"{path} has {size:,} bytes, not the {file['bytes']:,} on record"
    elif sha256(path) != file["sha256"]:
        what = f"{path} does not have the SHA-256 on record"
    else:
        return
    raise GroundupError(
        "wrong-hash", what, "fetch the file again; a file of your own goes under `path`, without `corpus`"
    )


def _from_hub(corpus: Corpus, name: str) -> None:
    """Download with the hub's own client, which goes on where it was and shows its progress."""
    from huggingface_hub import constants, hf_hub_download

    if not constants.HF_HUB_OFFLINE:  # else the client refuses, and says so
        _reach(constants.ENDPOINT)  # it would try for half a minute to find out that there is no network
    hf_hub_download(corpus.repository, name, repo_type="dataset", revision=corpus.revision, local_dir=corpus.folder())


def _reach(url: str) -> None:
    """Find out within REACH seconds whether a server, or the proxy on the way to it, can be connected to.

    Raises OSError if not. In a thread, since looking up a name has no time limit of its own.
    """
    target = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(target.scheme)
    if proxy and not urllib.request.proxy_bypass(target.hostname or ""):
        target = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = (target.hostname or "", target.port or (443 if target.scheme == "https" else 80))
    faults: list[OSError] = [TimeoutError(f"no answer within {REACH:.0f} seconds")]

    def connect() -> None:
        try:
            with socket.create_connection(address, timeout=REACH):
                faults.clear()
        except OSError as error:
            faults[0] = error

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(REACH)
    for fault in faults:
        raise ConnectionError(f"{address[0]} cannot be reached ({fault.strerror or fault})")


def _from_url(url: str, path: Path, size: int) -> None:
    """Download a file that should have so many bytes, going on where an earlier attempt was cut off.

    Raises OSError or http.client.HTTPException after the last attempt, or at once for what will not pass.
    """
    part = path.with_name(path.name + ".part")
    _reach(url)
    waits = iter(WAITS)
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _append(url, part, size)
            break
        except (OSError, http.client.HTTPException) as error:
            if part.is_file() and part.stat().st_size > before:
                waits = iter(WAITS)  # it moves
            wait = next(waits, None) if _may_pass(error) else None
            if wait is None:
                raise
            say(f"download: {error}; again in {wait:g} s")
            time.sleep(wait)
    part.replace(path)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in PASSING
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, (ConnectionError, TimeoutError, socket.gaierror, http.client.HTTPException))


def _append(url: str, part: Path, size: int) -> None:
    """Add to a part what it lacks. A file longer than it should be is not read to its end."""
    have = part.stat().st_size if part.is_file() else 0
    if have >= size:
        part.unlink(missing_ok=True)  # whole, yet never accepted
        have = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        connection = urllib.request.urlopen(request, timeout=SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # the server's file is shorter than what was taken for its beginning
            part.unlink()
            raise ConnectionError("another file was downloaded before") from None
        raise
    with connection as answer:
        if answer.status != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends the file from its beginning
        length = answer.headers.get("Content-Length")
        with part.open("ab" if have else "wb") as file, progress(part.stem, size - have, "B") as advance:
            got = 0
            while have + got <= size and (block := answer.read(BLOCK)):
                file.write(block)
                advance(len(block))
                got += len(block)
    if length and got < int(length) and have + got <= size:
        raise ConnectionError(f"the connection broke after {have + got:,} of {have + int(length):,} bytes")
