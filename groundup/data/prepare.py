"""One chunk of a source, from bytes as they came to cleaned documents in a staged Parquet file.

Read -> decode -> cut long documents -> repair -> detokenise -> normalise -> boilerplate lines -> filter rules. What is
left out goes to a second file with the reason. Each chunk is written whole or not at all, so interrupted work goes on.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from groundup.data.clean import decode, normalise, repair, strip_boilerplate
from groundup.data.cut import cut
from groundup.data.filters import count_words, judge
from groundup.data.sources import Bad, Chunk, RawDocument, SourceFile, corpus_of, read_chunk
from groundup.data.wikitext import detokenise
from groundup.errors import GroundupError
from groundup.recipe.schema import Data, Source
from groundup.store.files import fsync, read_work, write_atomic

EXCERPT = 600  # characters kept of a document that is left out
BATCH_BYTES = 4 << 20  # documents judged and written in one go
LEAST_COMPARED = 20  # words; in shorter documents two different sentences may share most of their 3-grams
COMMON_LINES = 100  # kept of each chunk's boilerplate lines
STAGED = pa.schema(
    [
        ("rank", pa.int64()),  # chunk and row: the order of all documents, official validation and test first
        ("key", pa.binary()),  # hash of the normalised text
        ("parent", pa.binary()),  # of the document that this one was cut from; else its own
        ("split", pa.string()),
        ("compared", pa.bool_()),  # with others for near-duplicates
        ("text", pa.string()),
        ("raw", pa.binary()),  # null where it is the text's UTF-8
        ("date", pa.string()),
        ("url", pa.string()),
        ("bits", pa.float64()),
        ("place", pa.string()),
        ("words", pa.int32()),
    ]
)
REMOVED = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("place", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("partner", pa.string()),  # the document that stays in its stead, or that it overlaps with
        ("similarity", pa.float64()),  # of the word 3-grams; for a leak, the share of the partner that it holds
        ("url", pa.string()),
        ("bytes", pa.int64()),
        ("text", pa.string()),  # its beginning
    ]
)
PARTS = {"staged": STAGED, "removed": REMOVED, "held": STAGED}


@dataclass(frozen=True)
class Job:
    """One chunk, the source that it belongs to, and how its documents are split."""

    source: str
    split: str | None
    fractions: tuple[float, float]  # to valid and to test, without an official split
    chunk: Chunk


@dataclass
class Tally:
    """What became of a chunk's documents."""

    documents: int = 0
    bytes: int = 0
    pieces: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    removed_bytes: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)  # by the power of two below the number of words
    lines: Counter[str] = field(default_factory=Counter)


def key_of(text: str) -> bytes:
    """What equal documents share, and what a split is drawn from."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def draw_split(key: bytes, valid_fraction: float, test_fraction: float) -> str:
    """The split of a document without an official one, from the hash of its text: adding others never moves it."""
    place = int.from_bytes(key[:8], "big") / 2**64
    if place < valid_fraction:
        return "valid"
    return "test" if place < valid_fraction + test_fraction else "train"


def part(work: Path, task: int, kind: str) -> Path:
    """Where a chunk's documents are: `staged`, `removed` or `held`."""
    return work / f"{task:05}.{kind}.parquet"


def power(words: int) -> int:
    """Bin of a length histogram: 2^k <= words < 2^(k + 1), and 0 for no words at all."""
    return max(0, words.bit_length() - 1)


def save_plan(work: Path, data: Data, jobs: list[Job]) -> None:
    """Lay the work out for the processes that do it."""
    plan = [
        {
            "source": job.source,
            "split": job.split,
            "fractions": job.fractions,
            "start": job.chunk.start,
            "end": job.chunk.end,
            "file": None if job.chunk.file is None else str(job.chunk.file.path.absolute()),
        }
        for job in jobs
    ]
    write_atomic(work / "plan.json", json.dumps({"data": data.model_dump(mode="json"), "jobs": plan}))
    load_plan.cache_clear()  # the same text may have moved since an earlier attempt


@lru_cache(maxsize=1)  # a process works on one corpus at a time
def load_plan(work: Path) -> tuple[Data, list[Job]]:
    """The recipe's part and the jobs, in the order of their documents."""
    plan = read_work(work / "plan.json")
    jobs = []
    for job in plan["jobs"]:
        file = None if job["file"] is None else SourceFile(Path(job["file"]), job["split"])
        chunk = Chunk(file, job["start"], job["end"])
        jobs.append(Job(job["source"], job["split"], tuple(job["fractions"]), chunk))
    return Data.model_validate(plan["data"]), jobs


def prepare(work: Path, task: int) -> None:
    """Stage chunk number `task` of the plan in `work`, unless that is done already.

    Raises GroundupError `bad-file`, `no-such-file`.
    """
    tally_file = work / f"{task:05}.json"
    if tally_file.exists():
        return
    data, jobs = load_plan(work)
    job = jobs[task]
    source = data.sources[job.source]
    tally = Tally()
    documents = _documents(job, source, data.on_bad, tally)
    kept, dropped, held = (Table(part(work, task, kind), schema) for kind, schema in PARTS.items())
    row = 0
    with kept, dropped, held:
        for batch in _batches(documents):
            (work / f"{task:05}.read").write_text(str(tally.bytes))  # for whoever shows progress
            for document in _judged(batch, job, source, data, tally):
                if "reason" in document:
                    dropped.add(document)
                    continue
                document["rank"] = (task << 32) | row
                row += 1
                kept.add(document)
                if document["split"] != "train":
                    held.add(document)  # once more, where they are quickly found
    counts = vars(tally) | {"lines": dict(most_common(tally.lines, COMMON_LINES))}
    write_atomic(tally_file, json.dumps(counts))  # last: it says that the chunk is whole


def most_common(lines: Counter[str], number: int) -> list[tuple[str, int]]:
    """The commonest lines, equally common ones by their text."""
    return sorted(lines.items(), key=lambda item: (-item[1], item[0]))[:number]


def bytes_read(work: Path, task: int) -> int:
    """Bytes of text that a chunk's process has read so far."""
    try:
        return int((work / f"{task:05}.read").read_text())
    except (OSError, ValueError):  # not begun, or just being written
        return 0


class Table:
    """A Parquet file that takes its name when it is whole, written in groups of bounded size."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.part, self.schema = path, path.with_name(path.name + ".part"), schema
        # A dictionary of texts, which differ, would cost more time than all the rest of the writing.
        self.writer = pq.ParquetWriter(
            self.part, schema, compression="lz4", use_dictionary=["split"], write_statistics=False
        )
        self.rows: list[dict[str, Any]] = []
        self.size = 0

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.size += len(row["text"] or "") + len(row.get("raw") or b"") + 100
        if self.size >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self.rows:
            columns = [pa.array([row.get(field.name) for row in self.rows], field.type) for field in self.schema]
            self.writer.write_table(pa.Table.from_arrays(columns, schema=self.schema))
        self.rows, self.size = [], 0

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self.writer.close()
        if kind is None:
            fsync(self.part)
            self.part.replace(self.path)


@dataclass(frozen=True)
class _Piece:
    """A document, or a piece of one, on its way."""

    document: RawDocument
    text: str
    raw: bytes
    parent: bytes | None
    problem: tuple[str, str] | None = None  # reason and detail


def _documents(job: Job, source: Source, on_bad: str, tally: Tally) -> Iterator[_Piece]:
    """Read, decode and cut. Raises GroundupError `bad-file` for what is no text, unless it is to be skipped."""
    for document in read_chunk(job.chunk, source, on_bad):
        tally.documents += 1
        if isinstance(document, Bad):
            tally.pieces += 1
            yield _Piece(RawDocument(b"", place=document.place), "", b"", None, ("unreadable", document.why))
            continue
        tally.bytes += len(document.raw)
        text, problem = decode(document.raw)
        if problem:
            if on_bad == "fail":
                file = job.chunk.file.path if job.chunk.file else job.source
                raise GroundupError(
                    "bad-file",
                    f"{file}, {document.place}: {problem}",
                    f"mend it, set data.sources.{job.source}.encoding, or leave such documents out: data.on_bad=skip",
                )
            tally.pieces += 1
            yield _Piece(document, text, document.raw, None, ("unreadable", problem))
            continue
        pieces = cut(text, source.cut_words) if source.cut_words else [text]
        tally.pieces += len(pieces)
        if len(pieces) == 1:
            yield _Piece(document, text, document.raw, None)
        else:
            parent = key_of(normalise(text))
            for number, piece in enumerate(pieces, 1):
                part = RawDocument(b"", document.url, document.date, None, f"{document.place}, piece {number}")
                yield _Piece(part, piece, piece.encode(), parent)


def _batches(documents: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    batch, size = [], 0
    for document in documents:
        batch.append(document)
        size += len(document.text) + 100
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _judged(pieces: list[_Piece], job: Job, source: Source, data: Data, tally: Tally) -> Iterator[dict[str, Any]]:
    """Rows of STAGED for what stays, of REMOVED for what does not."""
    corpus = corpus_of(source)
    rules = rules_of(source)
    texts = [_clean(piece, corpus, rules, tally) if piece.problem is None else piece.text for piece in pieces]
    language = source.language or corpus.get("language")
    where = f"{job.chunk.file.path.name}, " if job.chunk.file else ""
    counts = list(map(count_words, texts))
    verdicts = judge(texts, [rule for rule in rules if rule != "boilerplate"], data.filters, language, counts)
    for piece, text, words, verdict in zip(pieces, texts, counts, verdicts, strict=True):
        problem = piece.problem
        if problem is None and not text:
            problem = ("empty", "nothing but space and control characters")
        if problem is None and verdict is not None:
            problem = (verdict.reason, verdict.detail)
        encoded = text.encode()
        tally.lengths[power(words)] += 1
        key = key_of(text)
        shared = {"place": where + piece.document.place, "url": piece.document.url}
        if problem:
            reason, detail = problem
            tally.removed[reason] += 1
            # U+FFFD is longer than the byte that it stands for.
            size = len(piece.raw) if reason == "unreadable" else len(encoded)
            tally.removed_bytes[reason] += size
            yield shared | {
                "id": key.hex(),
                "source": job.source,
                "reason": reason,
                "detail": detail,
                "bytes": size,
                "text": text[:EXCERPT],
            }
        else:
            yield shared | {
                "key": key,
                "parent": piece.parent or key,
                "split": job.split or draw_split(piece.parent or key, *job.fractions),
                # The world's documents are meant to be alike, and its known entropy is that of all of them.
                "compared": job.chunk.file is not None and words >= LEAST_COMPARED,
                "text": text,
                "raw": None if piece.raw == encoded else piece.raw,
                "date": piece.document.date,
                "bits": piece.document.bits,
                "words": words,
            }


def rules_of(source: Source) -> list[str]:
    """The filter rules of a source: its own, else its corpus's."""
    return list(source.filters if source.filters is not None else corpus_of(source).get("filters", []))


def _clean(piece: _Piece, corpus: dict[str, Any], rules: list[str], tally: Tally) -> str:
    text = repair(piece.text)
    tally.changed["repaired"] += text != piece.text
    if corpus.get("articles"):
        plain = detokenise(text)[0]
        tally.changed["detokenised"] += plain != text
        text = plain
    text = normalise(text)
    if "boilerplate" in rules:
        text, lines = strip_boilerplate(text)
        tally.changed["boilerplate"] += bool(lines)
        tally.lines.update(set(lines))
    return text
