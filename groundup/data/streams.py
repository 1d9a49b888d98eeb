"""Text files as streams of bytes, cut at a delimiter into parts, whole or a range at a time, in bounded memory."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
LARGEST_DOCUMENT = 256 << 20  # bytes; what is larger is no document but a mistake, or an attack
BLOCK = 1 << 20
BYTE_ORDERS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
BYTE_ORDERS |= {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}  # last: UTF-32's mark begins like UTF-16's
ASCII = bytes(range(128)) + b"\x1b$B0!"  # with an escape sequence, as ISO 2022 has them
UNDECODABLE = "groundup.undecodable"


def _mark_undecodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Make what cannot be decoded the byte 0xFF, which no UTF-8 holds, so that it is noticed document by document."""
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    if isinstance(error, UnicodeEncodeError):
        return b"\xff", error.end
    raise error


codecs.register_error(UNDECODABLE, _mark_undecodable)


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Mark:
    """A delimiter as a pattern of bytes, and the length of its longest match."""

    pattern: re.Pattern[bytes]
    longest: int

    @classmethod
    def of(cls, delimiter: str) -> "Mark":
        """Each `\\n` of the delimiter stands for `\\r\\n`, too."""
        lines = delimiter.encode().split(b"\n")
        pattern = re.compile(rb"\r?\n".join(map(re.escape, lines)))
        return cls(pattern, sum(map(len, lines)) + 2 * (len(lines) - 1))


LINE = Mark(re.compile(rb"\n"), 1)


def too_large() -> str:
    return f"larger than {LARGEST_DOCUMENT:,} bytes, the most that a document may have"


def format_of(path: Path) -> tuple[str, str | None]:
    """(`.txt` and the like, compression)."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    return (Path(path.stem) if compression else path).suffix.lower(), compression


def byte_order(head: bytes) -> str | None:
    """utf-16 or utf-32, where a file begins with that byte order mark."""
    return next((encoding for mark, encoding in BYTE_ORDERS.items() if head.startswith(mark)), None)


def file_parts(
    path: Path, start: int, end: int | None, mark: Mark | None, encoding: str | None, unit: str
) -> Iterator[tuple[str, bytes | None]]:
    """(place, bytes in UTF-8) of the parts of a text file that begin in a range of its bytes.

    A part larger than LARGEST_DOCUMENT comes as None. Places are `UNIT 12` in a file that is read whole, as one has
    to be that is compressed or not in UTF-8, and `byte 33554437` in a range. Raises OSError.
    """
    whole = start == 0 and end is None
    found = _encoding(path, encoding) if whole else "utf-8"
    with _open(path) as file:
        at = _boundary(file, mark, start) if start and mark else 0
        if start:
            file.seek(at)
        stream = file if found == "utf-8" else _Transcoder(file, found)
        for number, (offset, part) in enumerate(parts(stream, mark, at, start, end), 1):
            yield f"{unit} {number}" if whole else f"byte {offset}", part


def parts(
    stream: Stream, mark: Mark | None, at: int = 0, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, bytes | None]]:
    """Cut a stream at its delimiters: (offset, bytes) of each part that begins in [start, end).

    A part larger than LARGEST_DOCUMENT comes as None. `at`: offset of the stream's first byte, across which no
    delimiter lies. What comes out does not depend on the sizes of the stream's blocks.
    """
    held, offset = bytearray(), at  # of the first byte that is held
    longest = mark.longest if mark else 0
    ours = at >= start  # whether the part in hand is to be given out
    while block := stream.read(BLOCK):
        searched = max(0, len(held) - longest + 1)  # what was held has no mark in it, but may end in a part of one
        held += block
        first = 0
        for found in mark.pattern.finditer(held, searched) if mark else ():
            if ours:
                small = found.start() - first <= LARGEST_DOCUMENT
                yield offset + first, bytes(held[first : found.start()]) if small else None
            first = found.end()
            ours = offset + first >= start
            if end is not None and offset + first >= end:
                return
        del held[:first]
        offset += first
        if ours and len(held) > LARGEST_DOCUMENT + longest:
            ours = False
            yield offset, None
        if not ours:  # nothing matters but where the next part begins
            if mark is None or (end is not None and offset >= end):
                return
            passed = max(0, len(held) - longest + 1)
            del held[:passed]
            offset += passed
    if ours:
        yield offset, bytes(held) if len(held) <= LARGEST_DOCUMENT else None


def _boundary(file: Any, mark: Mark, start: int) -> int:
    """A place before `start` across which no delimiter lies, so that cutting from there finds the file's delimiters.

    It is far enough before that a delimiter which ends at `start` is found. A delimiter that overlaps itself, as a
    blank line does in a run of blank lines, cuts such a run from the left: so the place where the run begins.
    """
    place = max(0, start - mark.longest)
    while place > 0:
        low = max(0, place - mark.longest + 1)
        file.seek(low)
        window = file.read(2 * mark.longest)
        matches = ((at, mark.pattern.match(window, at - low)) for at in range(low, place))
        crossing = next((at for at, match in matches if match and low + match.end() > place), None)
        if crossing is None:
            break
        place = crossing
    return place


class _Transcoder:
    """A stream in some encoding, read as UTF-8."""

    def __init__(self, stream: Stream, encoding: str) -> None:
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder(encoding)(UNDECODABLE)

    def read(self, size: int, /) -> bytes:
        while True:
            block = self.stream.read(size)
            text = self.decoder.decode(block, final=not block)
            if text or not block:
                return text.encode("utf-8", UNDECODABLE)


def _open(path: Path) -> Any:
    _, compression = format_of(path)
    return pa.input_stream(str(path), compression=compression) if compression else path.open("rb")


def _encoding(path: Path, given: str | None) -> str:
    """The encoding of a whole file: by its byte order mark, or the one given where it is not UTF-8.

    Where letters are not those of ASCII, as in UTF-16, any bytes may happen to be UTF-8, and the one given decides.
    """
    with _open(path) as stream:
        block = stream.read(BLOCK if given else 4)
        if marked := byte_order(block):
            return marked
        if given is None:
            return "utf-8"
        if ASCII.decode(given, "replace") != ASCII.decode():
            return given
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block:
                decoder.decode(block)
                block = stream.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return given
        except OSError:
            pass  # a damaged archive; where it breaks is found again when it is read
    return "utf-8"
