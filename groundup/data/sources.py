"""Where documents come from: files of the user's own, corpora known by name, and the generated world.

Each source becomes a list of `SourceFile`s, and each of those an iterator of `RawDocument`s, as they came.
"""

import csv
import glob
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from groundup.data import world
from groundup.data.download import fetch
from groundup.errors import GroundupError
from groundup.recipe.schema import Source
from groundup.store.files import sha256

PLAIN = (".txt", ".md", ".raw")
FORMATS = (*PLAIN, ".jsonl", ".parquet", ".csv")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
WORLD = {f"world-{register}": register for register in world.REGISTERS}
WORLD_DOCUMENTS = 20_000
csv.field_size_limit(2**31 - 1)  # a document may well be longer than the module's 128 KB
ARTICLE = re.compile(rb"^ = [^=].* = \s*$")  # ` = Title = `; sections have more signs


@dataclass(frozen=True)
class RawDocument:
    """A document as it came; `bits` is its -log2 probability where the source knows it."""

    raw: bytes
    url: str | None = None
    date: str | None = None
    bits: float | None = None


@dataclass(frozen=True)
class SourceFile:
    """One file of a source and its official split, or None where the split is still to be drawn."""

    path: Path
    split: str | None

    def record(self) -> dict[str, Any]:
        """What identifies the file: its contents, not where it lies."""
        try:
            size, content = self.path.stat().st_size, sha256(self.path)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        return {"file": self.path.name, "split": self.split, "bytes": size, "sha256": content}


@cache
def corpora() -> dict[str, dict[str, Any]]:
    """The corpora of sources.yaml by name."""
    return yaml.safe_load((resource("groundup.data") / "sources.yaml").read_text(encoding="utf-8"))


def corpus_of(source: Source) -> dict[str, Any]:
    """What is known of a source's corpus: nothing for files of one's own. Raises GroundupError `unknown-corpus`."""
    if source.corpus is None or source.corpus in WORLD:
        return {"license": "Apache-2.0", "language": "en"} if source.corpus else {}
    if source.corpus not in corpora():
        names = ", ".join([*corpora(), *WORLD])
        raise GroundupError("unknown-corpus", f"there is no corpus {source.corpus!r}", f"choose one of: {names}")
    return corpora()[source.corpus]


def license_of(source: Source) -> str | None:
    """The licence that is stated, or that of the corpus; files that stand in for the corpus's own have none known."""
    return source.license or (corpus_of(source).get("license") if source.path is None else None)


def find_files(source: Source, mirror: str | None, downloads: Path) -> list[SourceFile]:
    """The files of a source, official validation and test files first; downloads what is not here yet.

    Raises GroundupError `no-such-file`, `no-text`, `unknown-corpus`, `download-failed`.
    """
    corpus = corpus_of(source)
    if source.corpus in WORLD and source.path is None:
        return []
    groups: dict[str, list[Path]]
    if source.path is not None:
        given = {"valid": source.valid, "test": source.test, "train": source.path}
        groups = {split: _expand(paths) for split, paths in given.items() if paths}
    else:
        groups = {
            split: [
                fetch(corpus["repository"], corpus["revision"], file, mirror, downloads)
                for file in corpus["files"][split]
            ]
            for split in ("valid", "test", "train")
            if split in corpus["files"]
        }
    return [SourceFile(path, None if split == "train" else split) for split, paths in groups.items() for path in paths]


def _expand(paths: str | list[str]) -> list[Path]:
    """Files behind a path, a folder or a glob, in a stable order. Hidden files are passed over."""
    found: list[Path] = []
    for text in [paths] if isinstance(paths, str) else paths:
        path = Path(text).expanduser()
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file() and _format(file)[0] in FORMATS]
            here = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            if not here:
                raise GroundupError(
                    "no-text", f"the folder {path} holds no text files", "known formats: " + ", ".join(FORMATS)
                )
        elif path.exists():
            here = [path]
        else:
            here = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
            if not here:
                raise GroundupError(
                    "no-such-file",
                    f"there is no file, folder or match for {text}",
                    "check the path; it is relative to the directory you are in",
                )
        for file in here:
            if _format(file)[0] not in FORMATS:
                raise GroundupError(
                    "no-text",
                    f"{file} is of no known format",
                    "known formats: " + ", ".join(FORMATS) + ", each also as .gz or .zst",
                )
        found += here
    return found


def _format(path: Path) -> tuple[str, str | None]:
    """(`.txt` and the like, compression)."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    return (Path(path.stem) if compression else path).suffix.lower(), compression


def identity(source: Source, found: list[SourceFile]) -> dict[str, Any]:
    """What decides which documents a source has: contents of its files, and how they are read."""
    kept: dict[str, Any] = source.model_dump(
        include={"delimiter", "text_column", "documents", "license", "language", "corpus"}
    )
    if not found:
        kept["world"] = world.VERSION
    return kept | {"files": [file.record() for file in found]}


def read_world(source: Source) -> Iterator[RawDocument]:
    """Documents of the generated world, with their probabilities."""
    register = WORLD[str(source.corpus)]
    for index in range(source.documents or WORLD_DOCUMENTS):
        told = world.tell(register, index)
        yield RawDocument(told.text.encode(), bits=told.bits)


def read_file(file: SourceFile, source: Source) -> Iterator[RawDocument]:
    """The documents of one file, in order. Raises GroundupError `bad-file`, `no-such-file`."""
    kind, compression = _format(file.path)
    corpus = corpus_of(source)
    delimiter = source.delimiter or corpus.get("delimiter")
    place = ""
    try:
        if kind == ".parquet":
            rows: Iterable[dict[str, Any]] = _parquet_rows(file.path, source.text_column)
        else:
            stream = pa.input_stream(str(file.path), compression=compression)
            if kind in PLAIN and not corpus.get("articles"):
                yield from map(RawDocument, _split(stream, delimiter))
                return
            lines = io.BufferedReader(stream, 1 << 20)
            if kind == ".jsonl":
                rows = _json_rows(lines, file.path, source.text_column)
            elif kind == ".csv":
                text = io.TextIOWrapper(lines, encoding="utf-8-sig", errors="surrogateescape", newline="")
                rows = csv.DictReader(text)
            else:
                rows = ({source.text_column: line} for line in lines)
        if corpus.get("articles") and kind in (*PLAIN, ".parquet"):
            yield from map(RawDocument, _articles(row[source.text_column] for row in rows))
            return
        for number, row in enumerate(rows):
            place = f", row {number + 1}"
            value = row[source.text_column]
            url, date = (None if row.get(key) is None else str(row[key]) for key in ("url", "date"))
            yield RawDocument(_bytes(value), url, date)
    except KeyError:
        what = f"{file.path}{place} has no column {source.text_column!r}"
        raise GroundupError("bad-file", what, "name the column that holds the text with text_column") from None
    except (pa.ArrowException, csv.Error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise _unreadable(file.path, error) from None
        what = f"{file.path}{place} cannot be read: {' '.join(str(error).split())}"
        raise GroundupError("bad-file", what, "mend or remove the file") from None


def _unreadable(path: Path, error: OSError) -> GroundupError:
    return GroundupError("no-such-file", f"{path} cannot be read: {error.strerror}", "check the path and its mode")


def _bytes(value: Any) -> bytes:
    """A cell as the bytes that it came as; lone surrogates, which JSON can spell, become question marks."""
    if value is None or isinstance(value, bytes):
        return value or b""
    try:
        return str(value).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return str(value).encode("utf-8", "replace")


def _split(stream: Any, delimiter: str | None) -> Iterator[bytes]:
    """Cut a byte stream at a delimiter without holding more than one document."""
    if delimiter is None:
        yield stream.read()
        return
    mark, held = delimiter.encode(), bytearray()
    while block := stream.read(1 << 20):
        new = max(0, len(held) - len(mark) + 1)  # what was held has no mark in it, but may end in a part of one
        held += block
        if held.find(mark, new) >= 0:
            *whole, held = held.split(mark)
            yield from map(bytes, whole)
    yield bytes(held)


def _articles(lines: Iterable[Any]) -> Iterator[bytes]:
    """Put WikiText's lines together to articles, which begin at ` = Title = ` between two blank lines.

    Without the blank lines, rows of tables and formulas would pass for titles.
    """
    article: list[bytes] = []
    for line in map(_bytes, lines):
        titled = len(article) > 2 and not line.strip() and ARTICLE.match(article[-1]) and not article[-2].strip()
        if titled and any(part.strip() for part in article[:-2]):
            yield b"".join(article[:-1])
            del article[:-1]
        article.append(line)
    yield b"".join(article)


def _json_rows(lines: Iterable[bytes], path: Path, column: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise GroundupError(
                "bad-file", f"{path}, line {number}: not JSON ({error})", "mend or remove the line"
            ) from None
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            what = f"{path}, line {number} has no text under {column!r}"
            raise GroundupError("bad-file", what, "name the key that holds the text with text_column")
        yield row


def _parquet_rows(path: Path, column: str) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as table:
        columns = [name for name in (column, "url", "date") if name in table.schema_arrow.names]
        if column not in columns:
            raise KeyError(column)
        for batch in table.iter_batches(batch_size=1000, columns=columns):
            yield from batch.to_pylist()


def mirror_of(given: str | None) -> str | None:
    """The mirror of the recipe, else of the environment."""
    return given or os.environ.get("GROUNDUP_MIRROR") or None
