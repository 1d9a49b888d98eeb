"""Packing: documents to token shards that can be memory-mapped.

A shard is a .npy array of uint16 (uint32 for vocabularies above 65,536), its documents one behind the other, each
followed by the end-of-text token: `SOURCE.SPLIT.NNNNN-NNN.npy`, in the order of the corpus. Beside it,
`SOURCE.SPLIT.NNNNN-NNN.documents.npy` says of each document where it begins, how many bytes of text it has, and the
first 64 bits of its id in the corpus. No document lies in two shards.

One task packs a few of the corpus's files. A finished task is kept in lab/unfinished with the hashes of its files, so
packing that was interrupted goes on with the tasks that are missing.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from groundup.console import progress, say
from groundup.data.corpus import texts
from groundup.data.finish import SPLITS
from groundup.errors import GroundupError
from groundup.store.arrays import open_array, save_array
from groundup.store.artifacts import Artifact, identify, make
from groundup.store.files import Unreadable, damage, fsync, read_json, sha256, write_json
from groundup.tokens.encoders import Encode, choose
from groundup.tokens.encoding import FILE, Encoding, open_tokenizer

VERSION = 2
SHARD_TOKENS = 1 << 27  # 256 MB in uint16
BATCH_BYTES = 16 << 20  # text encoded in one call: enough for all cores, little enough for any memory
TASK_BYTES = 16 << 20  # of the corpus's files: what an interruption can cost
ROWS = 128  # documents read at once
DOCUMENT = np.dtype([("start", "<u8"), ("bytes", "<u8"), ("id", "<u8")])


@dataclass(frozen=True)
class Task:
    """Files of the corpus, neighbours in one source and split, that are packed together."""

    source: str
    split: str
    number: int
    files: list[Path]

    @property
    def name(self) -> str:
        return f"{self.source}.{self.split}.{self.number:05}"

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files)


@dataclass
class Count:
    """What a task packed. `unknown`: tokens for characters that the vocabulary cannot spell, and their bytes."""

    tokens: int = 0
    documents: int = 0
    bytes: int = 0
    unknown: int = 0
    unknown_bytes: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, int]:
        return {key: value for key, value in vars(self).items() if key != "files"}

    def add(self, other: "Count") -> None:
        for key, value in other.to_json().items():
            setattr(self, key, getattr(self, key) + value)


def build(corpus: Artifact, tokenizer: Artifact, lab: Path) -> Artifact:
    """The shards of every source and split of a corpus. Raises GroundupError `bad-tokenizer`."""
    work = lab / "unfinished" / identify("shards", VERSION, {}, [corpus, tokenizer])

    def fill(directory: Path) -> dict[str, Any]:
        work.mkdir(parents=True, exist_ok=True)
        encoding = open_tokenizer(tokenizer.path / FILE)
        sources = list(corpus.manifest["counts"])
        encode, encoder = choose(
            encoding, [text for name in sources for text in islice(texts(corpus, name, "train"), 50)]
        )
        tasks = [task for source in sources for split in SPLITS for task in _tasks(corpus, source, split)]
        counts = {source: {split: Count() for split in SPLITS} for source in sources}
        with progress("pack", sum(task.size for task in tasks), "B") as advance:
            done = []
            for task in tasks:
                done.append(_finished(work, task) or _pack(work, task, encode, encoding))
                advance(task.size)
        for task, count in zip(tasks, done, strict=True):
            counts[task.source][task.split].add(count)
            for file in count.files:
                (work / file).rename(directory / file)
        shutil.rmtree(work)
        _warn(counts)
        written = {name: {split: one.to_json() for split, one in each.items()} for name, each in counts.items()}
        return {"counts": written, "dtype": dtype(encoding).name, "vocab_size": encoding.vocab_size, "encoder": encoder}

    return make(lab, "shards", VERSION, {}, [corpus, tokenizer], fill)


def dtype(encoding: Encoding) -> np.dtype:
    """The smallest unsigned type that holds every token id."""
    return np.dtype(np.uint16 if encoding.vocab_size <= 1 << 16 else np.uint32)


def _tasks(corpus: Artifact, source: str, split: str) -> list[Task]:
    groups: list[list[Path]] = [[]]
    for path in sorted(corpus.path.glob(f"{source}.{split}.*.parquet")):
        if sum(one.stat().st_size for one in groups[-1]) >= TASK_BYTES:
            groups.append([])
        groups[-1].append(path)
    return [Task(source, split, number, files) for number, files in enumerate(groups) if files]


def _finished(work: Path, task: Task) -> Count | None:
    """What an earlier attempt packed, where all of it is as it was written."""
    try:
        done = Count(**read_json(work / f"{task.name}.json"))
        return None if damage(work, done.files) else done
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _pack(work: Path, task: Task, encode: Encode, encoding: Encoding) -> Count:
    """Write the shards of a task, and what they hold, to `work`."""
    count, parts, documents = Count(), [np.empty(0, dtype(encoding))], [np.empty(0, DOCUMENT)]
    held = 0

    def flush() -> None:
        nonlocal held
        name = f"{task.name}-{len(count.files) // 2:03}"
        for file, arrays in ((f"{name}.npy", parts), (f"{name}.documents.npy", documents)):
            save_array(work / file, np.concatenate(arrays))
            fsync(work / file)
            count.files[file] = {"bytes": (work / file).stat().st_size, "sha256": sha256(work / file)}
            del arrays[1:]
        held = 0

    for ids, batch in _batches(task.files):
        flat, lengths = encode(batch)
        sizes = pc.binary_length(batch).to_numpy(zero_copy_only=False)
        ends = np.cumsum(lengths + 1) - 1  # where each document's end-of-text token comes
        tokens = np.empty(len(flat) + len(lengths), dtype(encoding))
        text = np.ones(len(tokens), bool)
        text[ends] = False
        tokens[text], tokens[ends] = flat, encoding.end
        rows = np.empty(len(lengths), DOCUMENT)
        rows["start"], rows["bytes"], rows["id"] = held + ends - lengths, sizes, ids
        parts.append(tokens)
        documents.append(rows)
        held += len(tokens)
        count.documents += len(lengths)
        count.tokens += len(tokens)
        count.bytes += int(sizes.sum())
        if encoding.unknown is not None and (missing := int((flat == encoding.unknown).sum())):
            count.unknown += missing
            count.unknown_bytes += int(sizes.sum() - encoding.token_bytes[flat].sum())
        if held >= SHARD_TOKENS:
            flush()
    if held or not count.files:
        flush()
    write_json(work / f"{task.name}.json", vars(count))
    return count


def _batches(files: list[Path]) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """(first 64 bits of the documents' ids, their texts) by some `BATCH_BYTES` of text."""
    ids: list[str] = []
    texts: list[pa.Array] = []
    size = 0

    def batch() -> tuple[np.ndarray, pa.Array]:
        return np.array([int(id[:16], 16) for id in ids], "<u8"), pa.concat_arrays(texts)

    for path in files:
        with pq.ParquetFile(path) as table:
            for rows in table.iter_batches(batch_size=ROWS, columns=["id", "text"]):
                ids += rows.column("id").to_pylist()
                texts.append(rows.column("text").cast(pa.large_string()))
                size += texts[-1].nbytes
                if size >= BATCH_BYTES:
                    yield batch()
                    ids, texts, size = [], [], 0
    if texts:
        yield batch()


def _warn(counts: dict[str, dict[str, Count]]) -> None:
    for source, splits in counts.items():
        for split, count in splits.items():
            if count.unknown:
                share = count.unknown_bytes / count.bytes
                what = f"{count.unknown:,} characters ({share:.3%} of the bytes) are not in the vocabulary"
                say(f"warning: {source}.{split}: {what}; bits per byte charges each as one of all Unicode characters")


def read_shards(directory: Path, source: str, split: str) -> list[np.ndarray]:
    """The shards of a source and split as memory maps, in order. Raises GroundupError `artifact-damaged`."""
    return [_open(path) for path in _shards(directory, source, split)]


def read_documents(directory: Path, source: str, split: str) -> list[np.ndarray]:
    """The document records (`DOCUMENT`) of each of those shards. Raises GroundupError `artifact-damaged`."""
    return [_open(path.with_suffix(".documents.npy")) for path in _shards(directory, source, split)]


def _shards(directory: Path, source: str, split: str) -> list[Path]:
    return [path for path in sorted(directory.glob(f"{source}.{split}.*.npy")) if ".documents" not in path.suffixes]


def _open(path: Path) -> np.ndarray:
    try:
        return open_array(path, (np.uint16, np.uint32, DOCUMENT))
    except Unreadable as error:
        raise GroundupError("artifact-damaged", f"{path} {error}", f"delete {path.parent}") from None
