"""The corpus: every document once, cleaned, in its split, with the raw text beside it.

Order: decode -> normalise -> exact duplicates over all sources and splits together -> split. Official validation and
test documents are read first, so of two equal documents the one that must stay unseen survives, not its copy in train.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from groundup.console import progress, say
from groundup.data.clean import decode, detokenise, normalise
from groundup.data.sources import (
    RawDocument,
    SourceFile,
    corpus_of,
    find_files,
    identity,
    license_of,
    mirror_of,
    read_file,
    read_world,
)
from groundup.errors import GroundupError
from groundup.recipe.schema import Data, Source
from groundup.store.artifacts import Artifact, make

VERSION = 1
SPLITS = ("train", "valid", "test")
ROWS = 1000  # documents in one Parquet row group
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("raw", pa.binary()),  # null where it is the text's UTF-8
        ("source", pa.string()),
        ("language", pa.string()),
        ("license", pa.string()),
        ("date", pa.string()),
        ("url", pa.string()),
        ("bits", pa.float64()),  # -log2 probability, where the source knows it
    ]
)


@dataclass
class Tally:
    """Counts of one split of one source; `bits` adds up where the source knows its documents' probabilities."""

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    bits: float = 0.0

    def summary(self) -> dict[str, Any]:
        counts = {"documents": self.documents, "bytes": self.bytes, "characters": self.characters}
        return counts | ({"entropy_bpb": self.bits / self.bytes} if self.bits else {})


@dataclass
class Counts:
    read: Tally = field(default_factory=Tally)
    bad_utf8: int = 0
    empty: int = 0
    duplicates: int = 0
    splits: dict[str, Tally] = field(default_factory=lambda: {split: Tally() for split in SPLITS})


def build(data: Data, lab: Path) -> Artifact:
    """The corpus of a recipe: one Parquet file for each source and split, `SOURCE.SPLIT.parquet`.

    Raises GroundupError `no-such-file`, `no-text`, `bad-file`, `unknown-corpus`, `download-failed`.
    """
    found = {
        name: find_files(source, mirror_of(data.mirror), lab / "downloads") for name, source in data.sources.items()
    }
    identities = {name: identity(source, found[name]) for name, source in data.sources.items()}
    part = {"sources": identities, "valid_fraction": data.valid_fraction, "test_fraction": data.test_fraction}

    def fill(directory: Path) -> dict[str, Any]:
        counts = _write(data, found, directory)
        records = [{"source": name, **file} for name, entry in identities.items() for file in entry["files"]]
        return {
            "counts": {name: _summary(data.sources[name], count) for name, count in counts.items()},
            "sources": records,
        }

    return make(lab, "corpus", VERSION, part, [], fill)


def _summary(source: Source, count: Counts) -> dict[str, Any]:
    read = {"documents": count.read.documents, "bytes": count.read.bytes}
    removed = {"bad_utf8": count.bad_utf8, "empty": count.empty, "duplicates": count.duplicates}
    return {"license": license_of(source), "read": read, **removed} | {
        split: tally.summary() for split, tally in count.splits.items()
    }


def draw_split(key: bytes, valid_fraction: float, test_fraction: float) -> str:
    """The split of a document without an official one, from the hash of its text: adding others never moves it."""
    place = int.from_bytes(key[:8], "big") / 2**64
    if place < valid_fraction:
        return "valid"
    return "test" if place < valid_fraction + test_fraction else "train"


class _Writer:
    """Writes documents to `SOURCE.SPLIT.parquet`, one row group at a time."""

    def __init__(self, directory: Path, source: str) -> None:
        self.files = {
            split: pq.ParquetWriter(directory / f"{source}.{split}.parquet", SCHEMA, compression="zstd")
            for split in SPLITS
        }
        self.rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}

    def add(self, split: str, row: dict[str, Any]) -> None:
        self.rows[split].append(row)
        if len(self.rows[split]) == ROWS:
            self.flush(split)

    def flush(self, split: str) -> None:
        self.files[split].write_table(pa.Table.from_pylist(self.rows[split], SCHEMA))
        self.rows[split] = []

    def close(self) -> None:
        for split, file in self.files.items():
            self.flush(split)
            file.close()


def _write(data: Data, found: dict[str, list[SourceFile]], directory: Path) -> dict[str, Counts]:
    counts = {name: Counts() for name in data.sources}
    writers = {name: _Writer(directory, name) for name in data.sources}
    seen: set[bytes] = set()
    total = sum(file.path.stat().st_size for files in found.values() for file in files)
    with progress("corpus", total or None, "B") as advance:
        for official in (True, False):
            for name, source in data.sources.items():
                files = [file for file in found[name] if (file.split is not None) == official]
                kept = {split for split in ("valid", "test") if any(file.split == split for file in found[name])}
                fractions = [
                    0.0 if "valid" in kept else data.valid_fraction,
                    0.0 if "test" in kept else data.test_fraction,
                ]
                for split, document in _documents(source, files, official or bool(found[name]), advance):
                    _add(document, split, fractions, name, source, counts[name], writers[name], seen)
    for writer in writers.values():
        writer.close()
    for name, count in counts.items():
        if count.bad_utf8:
            say(f"warning: {name}: {count.bad_utf8:,} documents hold bytes that are not text; kept with U+FFFD")
        if not count.splits["valid"].documents:
            fix = f"set data.sources.{name}.delimiter or .valid, or a larger data.valid_fraction"
            say(f"warning: {name}: {count.read.documents:,} documents leave none for validation; {fix}")
        if not count.splits["train"].documents:
            raise GroundupError(
                "no-text",
                f"source {name!r} has no training document after cleaning ({count.read.documents} read)",
                "check its files and its delimiter; see `groundup explain no-text`",
            )
    return counts


def _documents(
    source: Source, files: list[SourceFile], from_files: bool, advance: Any
) -> Iterator[tuple[str | None, RawDocument]]:
    if not from_files:
        for document in read_world(source):
            yield None, document
    limit = source.documents
    for file in files:
        for document in read_file(file, source):
            if limit is not None and file.split is None:
                if limit == 0:
                    return
                limit -= 1
            yield file.split, document
        advance(file.path.stat().st_size)


def _add(
    document: RawDocument,
    split: str | None,
    fractions: list[float],
    name: str,
    source: Source,
    count: Counts,
    writer: _Writer,
    seen: set[bytes],
) -> None:
    corpus = corpus_of(source)
    text, whole = decode(document.raw)
    text = normalise(detokenise(text) if corpus.get("articles") else text)
    count.read.documents += 1
    count.read.bytes += len(document.raw)
    count.bad_utf8 += not whole
    if not text:
        count.empty += 1
        return
    encoded = text.encode()
    key = hashlib.blake2b(encoded, digest_size=16).digest()
    if key in seen:
        count.duplicates += 1
        return
    seen.add(key)
    split = split or draw_split(key, *fractions)
    tally = count.splits[split]
    tally.documents += 1
    tally.bytes += len(encoded)
    tally.characters += len(text)
    tally.bits += document.bits or 0.0
    writer.add(
        split,
        {
            **asdict(document),
            "id": key.hex(),  # of the text itself, so it is the same wherever the document stands
            "text": text,
            "raw": None if document.raw == encoded else document.raw,
            "source": name,
            "language": source.language or corpus.get("language"),
            "license": license_of(source),
        },
    )


def known_entropy(counts: dict[str, Any], sources: list[str], split: str) -> float | None:
    """Entropy in bits per byte of a split of some sources, where every one of them knows its own; else None."""
    parts = [counts[source][split] for source in sources]
    if not all("entropy_bpb" in part for part in parts):
        return None
    return sum(part["entropy_bpb"] * part["bytes"] for part in parts) / sum(part["bytes"] for part in parts)


def texts(corpus: Artifact, source: str, split: str) -> Iterator[str]:
    """The texts of one source and split, in order."""
    with pq.ParquetFile(corpus.path / f"{source}.{split}.parquet") as table:
        for batch in table.iter_batches(batch_size=ROWS, columns=["text"]):
            yield from batch.column("text").to_pylist()
