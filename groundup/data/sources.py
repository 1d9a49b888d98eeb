"""Where documents come from: files of the user's own, corpora known by name, and the generated world.

Each source becomes a list of `SourceFile`s, these a list of `Chunk`s that can be read apart from one another, and each
chunk an iterator of `RawDocument`s, as they came.
"""

import codecs
import glob
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resource
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from groundup.console import say
from groundup.data import world
from groundup.data.download import Corpus, fetch
from groundup.data.readers import FORMATS, PLAIN, Bad, Layout, RawDocument, read, unreadable
from groundup.data.streams import byte_order, format_of
from groundup.errors import GroundupError
from groundup.recipe.schema import Source
from groundup.store.files import sha256

CHUNK_BYTES = 32 << 20
WORLD = {f"world-{register}": register for register in world.REGISTERS}
WORLD_DOCUMENTS = 20_000
WORLD_CHUNK = 2_500  # documents


@dataclass(frozen=True)
class SourceFile:
    """One file of a source and its official split, or None where the split is still to be drawn."""

    path: Path
    split: str | None
    sha256: str | None = None  # where it has just been verified

    def record(self) -> dict[str, Any]:
        """What identifies the file: its contents, not where it lies."""
        try:
            size, content = self.path.stat().st_size, self.sha256 or sha256(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from None
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

    A file that is named as validation or test is left out of the rest, wherever it lies.
    Raises GroundupError `no-such-file`, `no-text`, `unknown-corpus`, `download-failed`, `wrong-hash`.
    """
    corpus = corpus_of(source)
    if source.corpus in WORLD and source.path is None:
        return []
    verified: dict[Path, str] = {}
    if source.path is None:
        known = Corpus(corpus["repository"], corpus["revision"], corpus["files"], downloads)
        groups = fetch(known, mirror)
        verified = dict(zip(chain(*groups.values()), (file["sha256"] for file in known.records()), strict=True))
    else:
        given = {"valid": source.valid, "test": source.test, "train": source.path}
        groups = {split: expand(paths) for split, paths in given.items() if paths}
        official = {path.resolve() for split in ("valid", "test") for path in groups.get(split, [])}
        groups["train"] = [path for path in groups["train"] if path.resolve() not in official]
        if not groups["train"]:
            what = f"every file of {source.path} is named as validation or test, too"
            raise GroundupError("no-text", what, "name files to train on as `path`")
    files = {split: groups[split] for split in ("valid", "test", "train") if split in groups}
    return [
        SourceFile(path, None if split == "train" else split, verified.get(path))
        for split, paths in files.items()
        for path in paths
    ]


def expand(paths: str | list[str]) -> list[Path]:
    """Files behind a path, a folder or a glob, in a stable order."""
    found: list[Path] = []
    for text in [paths] if isinstance(paths, str) else paths:
        path = Path(text).expanduser()
        if path.is_dir():
            found += _inside(path)
            continue
        if path.exists() and not path.is_file():
            raise GroundupError("no-such-file", f"{path} is not a regular file", "name a file, a folder or a glob")
        if path.is_file():
            here = [path]
        else:
            here = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
        if not here:
            what = f"there is no file, folder or match for {text}"
            raise GroundupError("no-such-file", what, "check the path; it is relative to the directory you are in")
        for file in here:
            if format_of(file)[0] not in FORMATS:
                fix = "known formats: " + ", ".join(FORMATS) + ", each also as .gz or .zst"
                raise GroundupError("no-text", f"{file} is of no known format", fix)
        found += here
    return found


def _inside(folder: Path) -> list[Path]:
    """The text files below a folder. Hidden ones are passed over, and so, with a word, are those of other formats.

    A link that leads out of the folder is not followed: whoever gave the folder need not know what lies there.
    """
    top = folder.resolve()
    found, astray, unknown = [], [], Counter[str]()
    for file in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        if not Path(os.path.realpath(file)).is_relative_to(top):  # Path.resolve refuses links to themselves
            astray.append(str(file.relative_to(folder)))
        elif file.is_file() and format_of(file)[0] in FORMATS:
            found.append(file)
        elif file.is_file():
            unknown[file.suffix or "no suffix"] += 1
    if astray:
        names = ", ".join(astray[:3]) + (", ..." if len(astray) > 3 else "")
        say(f"{folder}: not followed, since it leads out of the folder: {names}")
    if unknown:
        kinds = ", ".join(kind for kind, _ in unknown.most_common(10))
        say(f"{folder}: passed over {unknown.total():,} files of unknown formats: {kinds}")
    if not found:
        raise GroundupError(
            "no-text", f"the folder {folder} holds no text files", "known formats: " + ", ".join(FORMATS)
        )
    return found


def identity(source: Source, found: list[SourceFile]) -> dict[str, Any]:
    """What decides which documents a source has: contents of its files, and how they are read."""
    kept: dict[str, Any] = source.model_dump(
        include={"delimiter", "encoding", "text_column", "documents", "license", "language", "corpus", "cut_words"}
    )
    if not found:
        kept["world"] = world.VERSION
    return kept | {"files": [file.record() for file in found]}


@dataclass(frozen=True)
class Chunk:
    """A part of a source that is read apart from the others: the documents that begin in [start, end).

    The range counts bytes of a text or jsonl file, row groups of a Parquet file, indices of the generated world
    (`file` None), or documents where the source uses only its first ones. `end` None: to the end of the file.
    """

    file: SourceFile | None
    start: int
    end: int | None


def plan(source: Source, found: list[SourceFile]) -> list[Chunk]:
    """The chunks of a source, of about CHUNK_BYTES each, in the order of its documents.

    Depends on the files alone, so the same chunks hold the same documents wherever they are read.
    Raises GroundupError `bad-value` for an unknown encoding, `no-such-file`, `bad-file`.
    """
    layout = layout_of(source)
    if source.corpus in WORLD and source.path is None:
        total = source.documents or WORLD_DOCUMENTS
        return [Chunk(None, start, min(start + WORLD_CHUNK, total)) for start in range(0, total, WORLD_CHUNK)]
    chunks: list[Chunk] = []
    left = source.documents
    for file in found:
        if left is None or file.split is not None:
            chunks += [Chunk(file, *bounds) for bounds in _ranges(file.path, layout)]
        elif left:
            chunks.append(Chunk(file, 0, left))
            if file is not found[-1]:  # only the number of its documents says how many the next file gives
                left -= sum(isinstance(document, RawDocument) for document in read_chunk(chunks[-1], source, "skip"))
    return chunks


def _ranges(path: Path, layout: Layout) -> list[tuple[int, int | None]]:
    """Ranges of bytes or row groups that share a file out; all of it where it has to be read from its beginning."""
    kind, compression = format_of(path)
    cut = not (layout.articles or compression or layout.encoding)
    edges: list[int] = [0]
    try:
        size = path.stat().st_size
        if size > CHUNK_BYTES and cut and kind == ".parquet":
            edges = _row_groups(path)
        elif size > CHUNK_BYTES and cut and (kind == ".jsonl" or (kind in PLAIN and layout.delimiter)):
            with path.open("rb") as file:
                if not byte_order(file.read(4)):  # else it is transcoded while it is read
                    edges = list(range(0, size, CHUNK_BYTES))
    except OSError as error:
        raise unreadable(path, error) from None
    return list(zip(edges, [*edges[1:], None], strict=True))


def _row_groups(path: Path) -> list[int]:
    """The first row group of each chunk of a Parquet file."""
    edges, size = [0], 0
    try:
        with pq.ParquetFile(path) as table:
            sizes = [table.metadata.row_group(group).total_byte_size for group in range(table.num_row_groups)]
    except (pa.ArrowException, OSError):
        return edges  # what is wrong is said when it is read
    for group, more in enumerate(sizes):
        if size and size + more > CHUNK_BYTES:
            edges.append(group)
            size = 0
        size += more
    return edges


def layout_of(source: Source) -> Layout:
    """How the files of a source are to be read. Raises GroundupError `bad-value` for an unknown encoding."""
    if source.encoding is not None:
        try:
            b"text".decode(source.encoding, "replace")
            codecs.getincrementaldecoder(source.encoding)
        except (LookupError, ValueError):
            what = f"encoding {source.encoding!r} is not known"
            raise GroundupError("bad-value", what, "write it as Python does: cp1252, latin-1, shift_jis ...") from None
    corpus = corpus_of(source)
    delimiter = source.delimiter or corpus.get("delimiter")
    return Layout(delimiter, source.encoding, source.text_column, bool(corpus.get("articles")))


def read_chunk(chunk: Chunk, source: Source, on_bad: str) -> Iterator[RawDocument | Bad]:
    """The documents of a chunk, in order, one in memory at a time.

    What cannot be read is a `Bad` where `on_bad` is "skip". Where it is "fail", raises GroundupError `bad-file`, which
    names file and place. A wrong column name is a mistake in the recipe, and always an error: `bad-file`.
    """
    if chunk.file is None:
        yield from _tell(source, range(chunk.start, chunk.end or 0))
        return
    path = chunk.file.path
    limited = source.documents is not None and chunk.file.split is None
    start, end = (0, None) if limited else (chunk.start, chunk.end)
    left = chunk.end if limited else None
    for document in read(path, start, end, layout_of(source)):
        if isinstance(document, Bad) and on_bad == "fail":
            fix = "mend or remove it, or leave out what cannot be read: data.on_bad=skip"
            raise GroundupError("bad-file", f"{path}, {document.place}: {document.why}", fix)
        yield document
        if left is not None and isinstance(document, RawDocument):
            left -= 1
            if left == 0:
                return


def _tell(source: Source, indices: range) -> Iterator[RawDocument]:
    """Documents of the generated world, with their probabilities."""
    register = WORLD[str(source.corpus)]
    for index in indices:
        told = world.tell(register, index)
        yield RawDocument(told.text.encode(), bits=told.bits, place=f"document {index + 1}")


def mirror_of(given: str | None) -> str | None:
    """The mirror of the recipe, else of the environment."""
    return given or os.environ.get("GROUNDUP_MIRROR") or None
