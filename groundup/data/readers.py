"""File formats: the documents of one file, or of a range of it, one at a time, in bounded memory.

What cannot be read becomes a `Bad` in its place. A mistake in the recipe, a wrong column name say, is an error.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from groundup.data import streams
from groundup.data.streams import LINE, Mark, file_parts, format_of, too_large
from groundup.data.wikitext import articles
from groundup.errors import GroundupError

PLAIN = (".txt", ".md", ".raw")
FORMATS = (*PLAIN, ".jsonl", ".parquet", ".csv")
ROWS = 256  # of a Parquet file, at a time
UNREADABLE = (pa.ArrowException, csv.Error, EOFError, OSError, UnicodeError)


@dataclass(frozen=True)
class RawDocument:
    """A document as it came, in UTF-8: files in other encodings are transcoded while they are read.

    `bits` is its -log2 probability where the source knows it; `place` is where it stands in its file: "line 12",
    "row 7", "document 3", or "byte 33554437" in a file that is read in several chunks.
    """

    raw: bytes
    url: str | None = None
    date: str | None = None
    bits: float | None = None
    place: str = ""


@dataclass(frozen=True)
class Bad:
    """What could not be read, and why."""

    place: str
    why: str


@dataclass(frozen=True)
class Layout:
    """How a source's files are to be read."""

    delimiter: str | None = None
    encoding: str | None = None
    column: str = "text"
    articles: bool = False  # lines, or rows that are lines, make up WikiText articles


def read(path: Path, start: int, end: int | None, layout: Layout) -> Iterator[RawDocument | Bad]:
    """The documents of a file that begin in a range: of bytes, or of row groups for Parquet; `end` None: to its end.

    What follows a place that cannot be passed, in a truncated archive say, is one `Bad`.
    Raises GroundupError `bad-file` where the file has no such column, `no-such-file` where it cannot be opened.
    """
    documents = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}.get(format_of(path)[0], _plain)
    last = ""
    try:
        for document in documents(path, start, end, layout):
            yield document
            last = document.place
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.strerror:
            raise unreadable(path, error) from None
        yield Bad(f"after {last}" if last else "from its beginning", f"cannot be read: {_sentence(error)}")


def unreadable(path: Path, error: OSError) -> GroundupError:
    return GroundupError("no-such-file", f"{path} cannot be read: {error.strerror}", "check the path and its mode")


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())


def _document(raw: bytes, place: str, url: str | None = None, date: str | None = None) -> RawDocument | Bad:
    if len(raw) > streams.LARGEST_DOCUMENT:
        return Bad(place, too_large())
    return RawDocument(raw, url, date, place=place)


def _plain(path: Path, start: int, end: int | None, layout: Layout) -> Iterator[RawDocument | Bad]:
    if layout.articles:
        lines = (part for _, part in file_parts(path, start, end, LINE, layout.encoding, "line"))
        yield from _assemble(_with_ends(lines), "line")
        return
    mark = Mark.of(layout.delimiter) if layout.delimiter else None
    for place, part in file_parts(path, start, end, mark, layout.encoding, "document"):
        yield Bad(place, too_large()) if part is None else RawDocument(part, place=place)


def _with_ends(lines: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """Lines with the line ends that separated them."""
    held: bytes | None = b""
    for number, line in enumerate(lines):
        if number:
            yield None if held is None else held + b"\n"
        held = line
    if held != b"":
        yield held


def _assemble(lines: Iterable[bytes | None], unit: str) -> Iterator[RawDocument | Bad]:
    for number, article in articles(lines, streams.LARGEST_DOCUMENT):
        place = f"{unit} {number}"
        yield Bad(place, f"damaged, or {too_large()}") if article is None else RawDocument(article, place=place)


def _jsonl(path: Path, start: int, end: int | None, layout: Layout) -> Iterator[RawDocument | Bad]:
    first = start == 0  # the row that tells whether the name of the key is a mistake
    for place, line in file_parts(path, start, end, LINE, layout.encoding, "line"):
        if line is None:
            yield Bad(place, too_large())
            continue
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Bad(place, f"not JSON ({error})")
            continue
        text = row.get(layout.column) if isinstance(row, dict) else None
        if isinstance(text, str):
            yield RawDocument(_bytes(text), _word(row.get("url")), _word(row.get("date")), place=place)
        elif first and isinstance(row, dict) and layout.column not in row:
            raise _no_column(f"{path}, {place}", layout.column, row)
        else:
            yield Bad(place, f"no text under {layout.column!r}")
        first = False


def _csv(path: Path, start: int, end: int | None, layout: Layout) -> Iterator[RawDocument | Bad]:
    csv.field_size_limit(streams.LARGEST_DOCUMENT // 4)  # four bytes hold a character; the module's own limit: 128 KB
    over = False  # whether all lines were given out

    def lines() -> Iterator[str]:
        nonlocal over
        parts = (part for _, part in file_parts(path, start, end, LINE, layout.encoding, "line"))
        for number, line in enumerate(_with_ends(parts)):
            if line is None:
                raise csv.Error(f"a line is {too_large()}")
            yield line.decode("utf-8" if number else "utf-8-sig", "surrogateescape")
        over = True

    reader = csv.reader(lines())
    header = next(reader, [])
    if header and layout.column not in header:
        raise _no_column(str(path), layout.column, header)
    columns = {name: header.index(name) for name in (layout.column, "url", "date") if name in header}
    for number, row in enumerate(filter(None, reader), 1):
        place = f"row {number}"
        cells = {name: row[column] for name, column in columns.items() if column < len(row)}
        if over:  # the module asked for one more line, so the row was not finished
            yield Bad(place, "a quotation mark is never closed")
        elif len(row) != len(header):  # a comma or quotation mark of the text's own: what it cut off would be lost
            yield Bad(place, f"has {len(row)} cells, the header {len(header)}")
        else:
            yield _document(_bytes(cells[layout.column]), place, cells.get("url"), cells.get("date"))


def _parquet(path: Path, start: int, end: int | None, layout: Layout) -> Iterator[RawDocument | Bad]:
    with pq.ParquetFile(path, buffer_size=streams.BLOCK) as table:
        schema = table.schema_arrow
        if layout.column not in schema.names:
            raise _no_column(str(path), layout.column, schema.names)
        if not _textual(schema.field(layout.column).type):
            what = f"{path}: column {layout.column!r} holds {schema.field(layout.column).type}, not text"
            raise GroundupError("bad-file", what, "name the column of text: text_column in a recipe, or --column")
        rows = _parquet_rows(table, start, end, layout.column)
        if layout.articles:
            yield from _assemble((None if isinstance(row, Bad) else row.raw for row in rows), "row")
        else:
            yield from rows


def _parquet_rows(table: pq.ParquetFile, start: int, end: int | None, column: str) -> Iterator[RawDocument | Bad]:
    """Rows of some row groups; what cannot be read of a group is one `Bad`."""
    columns = [name for name in (column, "url", "date") if name in table.schema_arrow.names]
    before = 0
    for group in range(table.num_row_groups):
        after = before + table.metadata.row_group(group).num_rows
        if group >= start and (end is None or group < end):
            row = before
            try:
                for batch in table.iter_batches(batch_size=ROWS, row_groups=[group], columns=columns):
                    url, date = (_words(batch, name) for name in ("url", "date"))
                    for at, raw in enumerate(_cells(batch.column(column))):
                        row += 1
                        yield _document(raw or b"", f"row {row}", url[at], date[at])
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.strerror:
                    raise
                yield Bad(f"rows {row + 1} to {after}", f"cannot be read: {_sentence(error)}")
        before = after


def _textual(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(test(kind) for test in (*tests, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _cells(column: pa.Array) -> list[bytes | None]:
    """A column of text as bytes, which need not be UTF-8."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.large_binary()).to_pylist()


def _words(batch: pa.RecordBatch, column: str) -> list[str | None]:
    if column not in batch.schema.names:
        return [None] * batch.num_rows
    try:
        return list(map(_word, batch.column(column).to_pylist()))
    except (ValueError, OverflowError):  # text that is not UTF-8, a date out of range
        return [None] * batch.num_rows


def _no_column(where: str, column: str, names: Iterable[str]) -> GroundupError:
    known = ", ".join(map(repr, list(names)[:20]))
    what = f"{where} has no column {column!r}; it has {known or 'none'}"
    return GroundupError("bad-file", what, "name the column of text: text_column in a recipe, or --column")


def _word(value: Any) -> str | None:
    return None if value is None else str(value)


def _bytes(text: str) -> bytes:
    """A cell as the bytes that it came as; lone surrogates, which JSON can spell, become question marks."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
