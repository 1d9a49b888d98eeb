"""Files that are either whole or not there: atomic writes, hashes, JSON and JSON lines."""

import errno
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from groundup.errors import GroundupError

# A reader's limits, far above what groundup writes: a tokenizer.json of 250,000 tokens has some 20 MB, a row of
# metrics.jsonl one or two KB. Python needs up to 25 times the bytes of a hostile JSON file, hence the bound on values.
LARGEST_JSON = 64 << 20  # bytes
LARGEST_LINE = 16 << 20  # bytes
MOST_VALUES = 4_000_000
DEEPEST = 64  # brackets inside brackets
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Unreadable(ValueError):
    """Why a file or text cannot be used, in words that follow the name of the file."""


class Missing(Unreadable):
    """There is no such file."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical(value: Any) -> str:
    """JSON text that is equal for equal values: keys sorted, no spaces. Raises ValueError on NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def fsync(path: Path) -> None:
    """Force a file or directory to the disk, so that a rename after it cannot overtake its contents."""
    if os.name == "nt":
        return  # Windows opens no directories, and writes names through
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader sees the old contents or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


def write_output(path: Path, text: str) -> Path:
    """Write a file where a user wants it, whole or not at all, with the folders above it, and return its path.

    Raises GroundupError `not-writable`.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        what = f"{path} cannot be written: {error.strerror}"
        raise GroundupError("not-writable", what, "choose another --output") from None
    return path


def write_json(path: Path, value: Any) -> None:
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def file_record(directory: Path) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of every file below a directory, by relative name."""
    return {
        path.relative_to(directory).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def damage(directory: Path, record: dict[str, dict[str, Any]]) -> str | None:
    """The first way in which the files differ from their record, in words; None when all are as recorded."""
    for name, expected in record.items():
        path = directory / name
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory)):
            return f"{name} lies outside {directory}"  # a hostile manifest, or a link
        if not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{path} has {path.stat().st_size:,} bytes instead of {expected['bytes']:,}"
        if sha256(path) != expected["sha256"]:
            return f"{path} does not have the SHA-256 of its manifest"
    return None


def read_work(path: Path) -> Any:
    """A JSON file of any size in an artifact, or in unfinished work. Raises GroundupError `artifact-damaged`."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        what = f"{path} cannot be read: {error}"
        raise GroundupError("artifact-damaged", what, f"delete {path.parent} and repeat the command") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading. What is no regular file is not waited for: opening a pipe would block.

    Raises Unreadable, also where there is no file or no permission; OSError where the disk itself fails, which is no
    fault of the file's.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise Missing("cannot be opened: there is no such file") from None
    except OSError as error:
        if error.errno in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT):
            raise
        raise Unreadable(f"cannot be opened: {error.strerror}") from None
    except ValueError as error:  # a NUL in its name
        raise Unreadable(f"cannot be opened: {error}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Unreadable("is not a regular file")
    return os.fdopen(handle, "rb")


def read_bounded(path: Path, most: int) -> bytes:
    """A file of at most so many bytes. Raises Unreadable."""
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            raw = b"" if size > most else file.read(most + 1)  # a file of /proc has size 0, and may have no end
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from None
    if size > most or len(raw) > most:
        raise Unreadable(f"has more than the {most:,} bytes that are read of such a file")
    return raw


def parse_json(raw: bytes, finite: bool = True, spellable: bool = True) -> Any:
    """A JSON text that need not be trusted: strict UTF-8, no key twice, not deep.

    finite: neither NaN nor infinity, which JSON does not have, though Python reads and writes them. spellable: no lone
    surrogates, which could not be written down again. Raises Unreadable.
    """
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MOST_VALUES:
        raise Unreadable(f"holds more than {MOST_VALUES:,} values")
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique)
        if spellable and ESCAPED_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # those in pairs have become one character
    except UnicodeError:
        raise Unreadable("is not UTF-8 text") from None
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError as error:  # also of numbers with more digits than Python converts
        raise Unreadable(f"is not JSON ({error})") from None
    _check(value, finite)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _check(value: Any, finite: bool) -> None:
    level = [value]
    for _ in range(DEEPEST):
        if finite and any(type(one) is float and not math.isfinite(one) for one in level):
            raise Unreadable("holds a number that is not finite")
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise Unreadable("is nested too deeply")


def read_json(path: Path, most: int = LARGEST_JSON) -> dict[str, Any]:
    """The one JSON object of a file, by the rules of `parse_json`. Raises Unreadable."""
    value = parse_json(read_bounded(path, most))
    if not isinstance(value, dict):
        raise Unreadable("is not a JSON object")
    return value


def append_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows as JSON lines in one write, so that a reader finds whole lines.

    A half-written last line, which a killed process or a full disk leaves, is cut off first.
    """
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with path.open("ab+") as file:
        if end := file.tell():
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.truncate(_end_of_lines(file, end))
        file.write(text.encode())


def _end_of_lines(file: BinaryIO, end: int) -> int:
    """Where the last whole line ends, looked for from behind: the file may be long."""
    while end > 0:
        start = max(0, end - (1 << 16))
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON-lines file; a missing file has none, and a half-written last line is passed over.

    Raises GroundupError `run-damaged` for any other line that is not a JSON object.
    """
    try:
        file = open_regular(path)
    except Missing:
        return
    except Unreadable as error:
        raise GroundupError("run-damaged", f"{path} {error}", "remove it, or the run") from None
    with file:
        number = 0
        while line := _next_line(file, path):
            number += 1
            if not line.endswith(b"\n") and len(line) < LARGEST_LINE:
                return
            yield row_of(path, number, line)


def _next_line(file: BinaryIO, path: Path) -> bytes:
    try:
        return file.readline(LARGEST_LINE)
    except OSError as error:
        raise GroundupError("run-damaged", f"{path} cannot be read: {error.strerror}", "look at the disk") from None


def row_of(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """The object of line `number` of a JSON-lines file. Raises GroundupError `run-damaged`."""
    try:
        if not line.endswith(b"\n"):
            raise Unreadable("is too long")
        row = parse_json(line, finite=False)  # a perplexity may be infinite
    except Unreadable:
        row = None
    if not isinstance(row, dict):
        raise GroundupError("run-damaged", f"{path}, line {number} is damaged", "remove the line, or the run")
    return row
